"""Adamax."""

from __future__ import annotations

from collections.abc import Sequence

import paddle
from pydantic import Field

from paddle_automl.training.optimizers.adam import AdamConfig
from paddle_automl.training.optimizers.base import OPTIMIZERS, Optimizer, ParameterGroup


@OPTIMIZERS.register("adamax")
class Adamax(Optimizer):
    """Adam with the largest gradient instead of the root mean square (Kingma and Ba 2015, algorithm 2).

    m <- beta1 m + (1 - beta1) g; u <- max(beta2 u + epsilon, |g|); p <- p - rate m / (u (1 - beta1^t)). Weight
    decay is L2, added to the gradient.
    """

    class Config(AdamConfig):
        """Options of Adamax."""

        learning_rate: float = Field(0.002, gt=0)
        """Largest step size; the schedule multiplies it."""

    config: Config

    def build(  # noqa: D102
        self, groups: Sequence[ParameterGroup], clip: paddle.nn.ClipGradBase | None
    ) -> paddle.optimizer.Optimizer:
        return paddle.optimizer.Adamax(**self.config.moments(), **self.options(groups, clip))
