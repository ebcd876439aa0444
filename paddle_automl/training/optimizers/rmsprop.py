"""RMSProp."""

from __future__ import annotations

from collections.abc import Sequence

import paddle
from pydantic import Field

from paddle_automl.training.optimizers.base import OPTIMIZERS, Optimizer, OptimizerConfig, ParameterGroup


@OPTIMIZERS.register("rmsprop")
class RMSProp(Optimizer):
    """Gradient divided by a running root mean square of itself (Tieleman and Hinton 2012)."""

    class Config(OptimizerConfig):
        """Options of RMSProp."""

        learning_rate: float = Field(0.001, gt=0)
        """Largest step size; the schedule multiplies it."""
        rho: float = Field(0.95, ge=0, lt=1)
        """Decay of the mean of squared gradients."""
        momentum: float = Field(0.0, ge=0, lt=1)
        """Fraction of the last step that is kept."""
        centered: bool = False
        """Divide by the standard deviation instead of the root mean square."""
        epsilon: float = Field(1e-6, gt=0)
        """Added to the mean square."""

    config: Config

    def build(  # noqa: D102
        self, groups: Sequence[ParameterGroup], clip: paddle.nn.ClipGradBase | None
    ) -> paddle.optimizer.Optimizer:
        config = self.config
        return paddle.optimizer.RMSProp(
            rho=config.rho,
            epsilon=config.epsilon,
            momentum=config.momentum,
            centered=config.centered,
            **self.options(groups, clip),
        )
