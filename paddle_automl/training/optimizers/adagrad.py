"""Adagrad."""

from __future__ import annotations

from collections.abc import Sequence

import paddle
from pydantic import Field

from paddle_automl.training.optimizers.base import OPTIMIZERS, Optimizer, OptimizerConfig, ParameterGroup


@OPTIMIZERS.register("adagrad")
class Adagrad(Optimizer):
    """Gradient divided by the root of the sum of its squares so far (Duchi et al. 2011).

    s <- s + g^2; p <- p - rate g / (sqrt(s) + epsilon). Weight decay is L2, added to the gradient.
    """

    class Config(OptimizerConfig):
        """Options of Adagrad."""

        epsilon: float = Field(1e-6, gt=0)
        """Added to the denominator."""
        initial_sum: float = Field(0.0, ge=0)
        """Sum of squares at the beginning; above 0 it dampens the first steps."""

    config: Config

    def build(  # noqa: D102
        self, groups: Sequence[ParameterGroup], clip: paddle.nn.ClipGradBase | None
    ) -> paddle.optimizer.Optimizer:
        return paddle.optimizer.Adagrad(
            epsilon=self.config.epsilon,
            initial_accumulator_value=self.config.initial_sum,
            **self.options(groups, clip),
        )
