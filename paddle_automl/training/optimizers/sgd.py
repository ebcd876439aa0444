"""Stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Sequence

import paddle

from paddle_automl.training.optimizers.base import OPTIMIZERS, Optimizer, OptimizerConfig, ParameterGroup


@OPTIMIZERS.register("sgd")
class SGD(Optimizer):
    """p <- p - rate (gradient + decay p)."""

    class Config(OptimizerConfig):
        """Options of gradient descent."""

    def build(  # noqa: D102
        self, groups: Sequence[ParameterGroup], clip: paddle.nn.ClipGradBase | None
    ) -> paddle.optimizer.Optimizer:
        return paddle.optimizer.SGD(**self.options(groups, clip))
