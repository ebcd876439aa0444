"""AdamW."""

from __future__ import annotations

from collections.abc import Sequence

import paddle
from pydantic import Field

from paddle_automl.training.optimizers.adam import AdamConfig
from paddle_automl.training.optimizers.base import OPTIMIZERS, Optimizer, ParameterGroup, names_without_decay


@OPTIMIZERS.register("adamw")
class AdamW(Optimizer):
    """Adam with weight decay apart from the gradient (Loshchilov and Hutter 2019): p <- p - rate decay p."""

    class Config(AdamConfig):
        """Options of AdamW."""

        weight_decay: float = Field(0.01, ge=0)
        """Pull of kernels and weights towards zero; biases and the scales of normalizations are left alone."""

    config: Config
    decay_in_gradient = False

    def build(  # noqa: D102
        self, groups: Sequence[ParameterGroup], clip: paddle.nn.ClipGradBase | None
    ) -> paddle.optimizer.Optimizer:
        config, left_alone = self.config, names_without_decay(groups)
        return paddle.optimizer.AdamW(
            beta1=config.beta1,
            beta2=config.beta2,
            epsilon=config.epsilon,
            weight_decay=config.weight_decay,
            apply_decay_param_fun=lambda name: name not in left_alone,
            **self.options(groups, clip),
        )
