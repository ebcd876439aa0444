"""Stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Sequence

import paddle

from paddle_automl.models.kinds import Kind
from paddle_automl.training.optimizers.base import (
    OPTIMIZERS,
    Optimizer,
    OptimizerConfig,
    ParameterGroup,
    Units,
    decoupled_unit,
)


@OPTIMIZERS.register("sgd")
class SGD(Optimizer):
    """p <- p - rate (gradient + decay p)."""

    class Config(OptimizerConfig):
        """Options of gradient descent."""

        units: Units = "step"
        """Unit of the learning rate. step: the rate of a step on the mean loss. decoupled: batch_size / 2048 of
        that, so that learning rate and batch size can be searched apart (see momentum)."""

        def unit(self, kind: Kind, batch_size: int) -> float:  # noqa: D102
            return 1.0 if self.units == "step" else decoupled_unit(0.0, batch_size)

    def build(  # noqa: D102
        self, groups: Sequence[ParameterGroup], clip: paddle.nn.ClipGradBase | None
    ) -> paddle.optimizer.Optimizer:
        return paddle.optimizer.SGD(**self.options(groups, clip))
