"""Penalties on the weights that are part of the loss."""

from __future__ import annotations

from collections.abc import Iterable

import paddle
from paddle import Tensor, nn

from paddle_automl.models.kinds import BESIDE_OPTIMIZER, parameter_kinds
from paddle_automl.training.callback import Callback, ForwardPass
from paddle_automl.training.config import TrainingConfig


class L1(Callback):
    """Adds `factor` times the sum of the magnitudes of all kernels and weights to the loss (Tibshirani 1996, the
    lasso).

    Many weights become small, so that they can be pruned. Biases and scales are left alone, as with weight decay.
    """

    def __init__(self, parameters: Iterable[Tensor], factor: float) -> None:
        self._weights = [p for p in parameters if p.ndim > 1 and not p.stop_gradient]
        self.factor = factor

    def loss(self, step: ForwardPass, loss: Tensor) -> Tensor:
        """Return the loss with the penalty."""
        del step
        # Layers that are frozen for some epochs do not change, so they cost nothing.
        found = [weight.abs().sum() for weight in self._weights if not weight.stop_gradient]
        return loss + self.factor * paddle.add_n(found).astype(loss.dtype) if found else loss


def penalties(model: nn.Layer, config: TrainingConfig) -> tuple[Callback, ...]:
    """Return the penalties of the recipe on the parameters of `model` that the optimizer updates."""
    if config.l1 is None:
        return ()
    kinds = parameter_kinds(model)
    learned = [weight for name, weight in model.named_parameters() if kinds.get(name) not in BESIDE_OPTIMIZER]
    return (L1(learned, config.l1),)
