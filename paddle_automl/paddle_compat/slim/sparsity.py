"""Setting single weights to zero with PaddleSlim's unstructured pruners."""

from __future__ import annotations

from typing import Any

import paddle
from paddle import nn

from paddle_automl.paddle_compat.slim.mends import import_paddleslim, quiet

_MASK = "_mask"
SHORTEST_STEP = 11
"""Training steps that PaddleSlim's gradual schedule needs at least between two rises of the ratio."""


class WeightPruning:
    """PaddleSlim's pruner of one network, which it changes in place.

    Kernels of convolutions and weights of linear layers are pruned by magnitude, all together (`local` false)
    or each layer alike. With `steps` the fraction of zeros rises gradually over that many training steps (GMP:
    Zhu and Gupta 2017, To Prune, or Not to Prune, eq. 1) in `rises` rises; without, it is `ratio` at once.
    While it is at work the network must not be exported: see `finish`.
    """

    def __init__(self, model: nn.Layer, ratio: float, *, local: bool, steps: int | None, rises: int) -> None:
        slim = import_paddleslim()
        self.model = model
        options: dict[str, Any] = {"ratio": ratio, "local_sparsity": local}
        self._hooks = {id(layer): set(layer._forward_pre_hooks) for layer in model.sublayers()}
        with quiet():
            if steps is None:
                self._pruner: Any = slim.UnstructuredPruner(model, mode="ratio", **options)
                self._pruner.step()
            else:
                self._pruner = slim.GMPUnstructuredPruner(model, **options, configs=_schedule(steps, rises))

    def step(self) -> None:
        """Choose the zeros anew where the schedule says so; call after each training step."""
        with quiet():
            self._pruner.step()

    @paddle.no_grad()
    def apply(self) -> None:
        """Set the weights that are chosen to zero; they are not, between a training step and the next."""
        self._pruner.update_params()

    def finish(self) -> None:
        """Apply the zeros for good and take PaddleSlim's masks and hooks out of the network."""
        self.apply()
        for layer in self.model.sublayers(include_self=True):
            for name in [name for name in layer._buffers if name.endswith(_MASK)]:
                del layer._buffers[name]
            kept = self._hooks.get(id(layer), set())
            for key in [key for key in layer._forward_pre_hooks if key not in kept]:
                del layer._forward_pre_hooks[key]


def _schedule(steps: int, rises: int) -> dict[str, Any]:
    return {
        "stable_iterations": 0,
        "pruning_iterations": steps,
        # Holds the last ratio for longer than any training goes on.
        "tunning_iterations": steps,
        "resume_iteration": 0,
        "pruning_steps": rises,
        "initial_ratio": 0.0,
    }
