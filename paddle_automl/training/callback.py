"""Callbacks: additions to the recipe of a training, such as a teacher or weights that must stay zero."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from paddle import Tensor


def _same(values: Tensor) -> Tensor:
    return values


@dataclass(frozen=True)
class ForwardPass:
    """The forward pass of one training step; computed values are float32."""

    inputs: tuple[Tensor, ...]
    """The network's arguments [B, ...], normalized and augmented, in the order of `Input.specs`."""
    targets: Tensor
    """[B, K], see `Task.dense`; soft targets after mixup."""
    features: Tensor
    """[B, F], the input of the head."""
    outputs: Tensor
    """[B, K], raw: before `Task.final`."""
    blended: Callable[[Tensor], Tensor] = _same
    """Blends values of the items [B, ...] as the training has blended targets, features and outputs within the
    network (`TablesConfig.mixup`), which `inputs` do not show; for what is computed of `inputs` otherwise."""


class Callback:
    """Takes part in a training; by default every method does nothing.

    A callback belongs to one training of one network. `train` takes any number of them and calls them in their
    order, in each step: `loss`, the optimizer's step, `after_step`, and then the moving average of the weights.
    """

    def parameters(self) -> Sequence[Tensor]:
        """Return the callback's own trained parameters, such as adapters between feature maps.

        The recipe's optimizer updates them together with the network: its rate, weight decay and clipping apply.
        """
        return ()

    def watching(self) -> AbstractContextManager[object]:
        """Return a context that surrounds the training, from before the first step until after the last one."""
        return nullcontext()

    def loss(self, step: ForwardPass, loss: Tensor) -> Tensor:
        """Return the loss to minimize, shape []; `loss` is that of the recipe and of earlier callbacks."""
        del step
        return loss

    def after_step(self) -> None:
        """Change weights, or record something, after each step of the optimizer."""

    def speed(self, steps_left: float, epochs_left: float) -> float:
        """Return by which factor the schedule runs faster than planned in the next step; the fastest one counts.

        So many steps and epochs of the plan are left; with 2 there are half as many.
        """
        del steps_left, epochs_left
        return 1.0

    def before_evaluation(self) -> None:
        """Change weights before they are evaluated and saved: the averaged ones if there is an average."""
