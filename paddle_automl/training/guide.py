"""What else has a say in a training, beside the recipe: a teacher, weights that must stay zero, a penalty."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from paddle import Tensor


@dataclass(frozen=True)
class ForwardPass:
    """One training step's way through the network; what the network gave is float32."""

    images: Tensor
    """[B, C, H, W], normalized and augmented."""
    targets: Tensor
    """[B, K], rows sum to 1."""
    features: Tensor
    """[B, F], what the head saw."""
    logits: Tensor
    """[B, K]."""


class Guide:
    """Takes part in a training; each method may be left as it is, which changes nothing.

    A guide belongs to one training of one network. `train` takes any number of them and calls them in their
    order, in each step: `loss`, the optimizer's step, `after_step`, and then the moving average of the weights.
    """

    def parameters(self) -> Sequence[Tensor]:
        """Return what the guide itself learns, such as adapters between feature maps.

        The recipe's optimizer steps it together with the network: its rate, weight decay and clipping apply.
        """
        return ()

    def watching(self) -> AbstractContextManager[object]:
        """Return a context that is entered before the first step and left after the last one."""
        return nullcontext()

    def loss(self, step: ForwardPass, loss: Tensor) -> Tensor:
        """Return the loss to minimize, shape []; `loss` is that of the recipe and of the guides before."""
        del step
        return loss

    def after_step(self) -> None:
        """Change weights, or note something, after each step of the optimizer."""

    def before_evaluation(self) -> None:
        """Change weights before they are evaluated and kept."""
