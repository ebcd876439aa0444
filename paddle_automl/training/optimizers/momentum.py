"""Gradient descent with momentum."""

from __future__ import annotations

from collections.abc import Sequence

import paddle
from pydantic import Field

from paddle_automl.training.optimizers.base import OPTIMIZERS, Optimizer, OptimizerConfig, ParameterGroup


@OPTIMIZERS.register("momentum")
class Momentum(Optimizer):
    """v <- momentum v + gradient + decay p; p <- p - rate v (or Nesterov's form of it)."""

    class Config(OptimizerConfig):
        """Options of momentum."""

        learning_rate: float = Field(0.05, gt=0)
        """Largest step size; the schedule multiplies it."""
        momentum: float = Field(0.9, ge=0, lt=1)
        """Fraction of the last step's velocity that is kept."""
        nesterov: bool = False
        """Look ahead along the velocity (Sutskever et al. 2013)."""

    config: Config

    def build(  # noqa: D102
        self, groups: Sequence[ParameterGroup], clip: paddle.nn.ClipGradBase | None
    ) -> paddle.optimizer.Optimizer:
        return paddle.optimizer.Momentum(
            momentum=self.config.momentum, use_nesterov=self.config.nesterov, **self.options(groups, clip)
        )
