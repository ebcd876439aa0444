"""Adadelta."""

from __future__ import annotations

from collections.abc import Sequence

import paddle
from pydantic import Field

from paddle_automl.training.optimizers.base import OPTIMIZERS, Optimizer, OptimizerConfig, ParameterGroup


@OPTIMIZERS.register("adadelta")
class Adadelta(Optimizer):
    """Steps in the units of the weights, scaled by running means of squares (Zeiler 2012, arXiv:1212.5701,
    algorithm 1).

    v <- rho v + (1 - rho) g^2; d = g sqrt(u + epsilon) / sqrt(v + epsilon); u <- rho u + (1 - rho) d^2;
    p <- p - rate d. It begins slowly: its first steps have about the size sqrt(epsilon). Weight decay is L2, added
    to the gradient.
    """

    class Config(OptimizerConfig):
        """Options of Adadelta."""

        learning_rate: float = Field(1.0, gt=0)
        """Factor of the steps, 1 in the paper; the schedule multiplies it."""
        rho: float = Field(0.95, ge=0, lt=1)
        """Decay of both means of squares."""
        epsilon: float = Field(1e-6, gt=0)
        """Added to both means; the larger, the larger are the first steps."""

    config: Config

    def build(  # noqa: D102
        self, groups: Sequence[ParameterGroup], clip: paddle.nn.ClipGradBase | None
    ) -> paddle.optimizer.Optimizer:
        return paddle.optimizer.Adadelta(
            rho=self.config.rho, epsilon=self.config.epsilon, **self.options(groups, clip)
        )
