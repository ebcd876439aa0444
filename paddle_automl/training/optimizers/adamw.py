"""AdamW."""

from __future__ import annotations

from collections.abc import Sequence

import paddle

from paddle_automl.training.optimizers.adam import DecoupledConfig
from paddle_automl.training.optimizers.base import OPTIMIZERS, Optimizer, ParameterGroup, names_without_decay


@OPTIMIZERS.register("adamw")
class AdamW(Optimizer):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019): p <- p - rate decay p."""

    class Config(DecoupledConfig):
        """Options of AdamW."""

    config: Config
    decay_in_gradient = False

    def build(  # noqa: D102
        self, groups: Sequence[ParameterGroup], clip: paddle.nn.ClipGradBase | None
    ) -> paddle.optimizer.Optimizer:
        left_alone = names_without_decay(groups)
        return paddle.optimizer.AdamW(
            weight_decay=self.config.weight_decay,
            apply_decay_param_fun=lambda name: name not in left_alone,
            **self.config.moments(),
            **self.options(groups, clip),
        )
