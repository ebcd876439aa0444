"""Adam."""

from __future__ import annotations

from collections.abc import Sequence

import paddle
from pydantic import Field

from paddle_automl.training.optimizers.base import OPTIMIZERS, Optimizer, OptimizerConfig, ParameterGroup


class AdamConfig(OptimizerConfig):
    """Options of Adam and of optimizers derived from it."""

    learning_rate: float = Field(0.001, gt=0)
    """Largest step size; the schedule multiplies it."""
    beta1: float = Field(0.9, ge=0, lt=1)
    """Decay of the mean of gradients."""
    beta2: float = Field(0.999, ge=0, lt=1)
    """Decay of the mean of squared gradients."""
    epsilon: float = Field(1e-8, gt=0)
    """Added to the denominator."""

    def moments(self) -> dict[str, float]:
        """Return Paddle's arguments for the two means of gradients."""
        return {"beta1": self.beta1, "beta2": self.beta2, "epsilon": self.epsilon}


class DecoupledConfig(AdamConfig):
    """Options of Adam with decoupled weight decay."""

    weight_decay: float = Field(0.01, ge=0)
    """Pull of kernels and weights towards zero; biases and the scales of normalizations are left alone."""


@OPTIMIZERS.register("adam")
class Adam(Optimizer):
    """Adam (Kingma and Ba 2015); weight decay is L2, added to the gradient."""

    class Config(AdamConfig):
        """Options of Adam."""

    config: Config

    def build(  # noqa: D102
        self, groups: Sequence[ParameterGroup], clip: paddle.nn.ClipGradBase | None
    ) -> paddle.optimizer.Optimizer:
        return paddle.optimizer.Adam(**self.config.moments(), **self.options(groups, clip))
