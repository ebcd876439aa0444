"""Huber loss."""

from __future__ import annotations

import paddle
from paddle import Tensor
from pydantic import Field

from paddle_automl.core.schema import PluginConfig
from paddle_automl.training.losses.base import LOSSES, Pointwise


@LOSSES.register("huber")
class Huber(Pointwise):
    """Mean over items and targets of d^2 / 2 up to |d| = delta, then delta (|d| - delta / 2) (Huber 1964).

    d is the difference in standard deviations of the target. As mse for small differences, as mae for large ones.
    """

    class Config(PluginConfig):
        """Options of the Huber loss."""

        delta: float = Field(1.0, gt=0)
        """Difference, in standard deviations of the target, from which the loss grows linearly."""

    config: Config

    def cost(self, difference: Tensor) -> Tensor:  # noqa: D102
        size, delta = difference.abs(), self.config.delta
        near = size.clip(max=delta)
        # near^2 / 2 + delta (size - near) covers both formulas.
        return paddle.square(near) / 2 + delta * (size - near)
