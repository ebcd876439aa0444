"""AdamW."""

from __future__ import annotations

from collections.abc import Sequence

import paddle
from pydantic import Field

from paddle_automl.training.optimizers.adam import AdamConfig
from paddle_automl.training.optimizers.base import OPTIMIZERS, Optimizer, ParameterGroup


@OPTIMIZERS.register("adamw")
class AdamW(Optimizer):
    """Adam with weight decay apart from the gradient (Loshchilov and Hutter 2019): p <- p - rate decay p."""

    class Config(AdamConfig):
        """Options of AdamW."""

        weight_decay: float = Field(0.01, ge=0)
        """Pull of kernels and weights towards zero; biases and the scales of normalizations are left alone."""

    config: Config

    def build(  # noqa: D102
        self, groups: Sequence[ParameterGroup], clip: paddle.nn.ClipGradBase | None
    ) -> paddle.optimizer.Optimizer:
        config = self.config
        return paddle.optimizer.AdamW(
            beta1=config.beta1, beta2=config.beta2, epsilon=config.epsilon, **self.options(groups, clip)
        )
