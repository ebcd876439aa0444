"""Gradient descent with momentum."""

from __future__ import annotations

from collections.abc import Sequence

import paddle
from pydantic import Field

from paddle_automl.models.kinds import Kind
from paddle_automl.training.optimizers.base import (
    OPTIMIZERS,
    Optimizer,
    OptimizerConfig,
    ParameterGroup,
    Units,
    decoupled_unit,
)


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
        units: Units = "step"
        """Unit of the learning rate. step: the rate of a step on the mean loss. decoupled: batch_size /
        (1024 (1 + 1 / (1 - momentum))) of that, so that learning rate, batch size and momentum can be searched
        apart (Jordan 2024, arXiv:2404.00498; there 11.5 for Nesterov's momentum of 0.85)."""

        def unit(self, kind: Kind, batch_size: int) -> float:  # noqa: D102
            return 1.0 if self.units == "step" else decoupled_unit(self.momentum, batch_size)

    config: Config

    def build(  # noqa: D102
        self, groups: Sequence[ParameterGroup], clip: paddle.nn.ClipGradBase | None
    ) -> paddle.optimizer.Optimizer:
        return paddle.optimizer.Momentum(
            momentum=self.config.momentum, use_nesterov=self.config.nesterov, **self.options(groups, clip)
        )
