"""LAMB."""

from __future__ import annotations

from collections.abc import Sequence

import paddle
from pydantic import Field

from paddle_automl.training.optimizers.adam import DecoupledConfig
from paddle_automl.training.optimizers.base import OPTIMIZERS, Optimizer, ParameterGroup, names_without_decay


@OPTIMIZERS.register("lamb")
class Lamb(Optimizer):
    """Adam with each layer's step scaled to the norm of its weights (You et al. 2020), for large batches."""

    class Config(DecoupledConfig):
        """Options of LAMB."""

        learning_rate: float = Field(0.005, gt=0)
        """Largest step size; the schedule multiplies it."""
        epsilon: float = Field(1e-6, gt=0)
        """Added to the denominator."""

    config: Config
    decay_in_gradient = False

    def build(  # noqa: D102
        self, groups: Sequence[ParameterGroup], clip: paddle.nn.ClipGradBase | None
    ) -> paddle.optimizer.Optimizer:
        left_alone = names_without_decay(groups)
        return paddle.optimizer.Lamb(
            lamb_weight_decay=self.config.weight_decay,
            exclude_from_weight_decay_fn=lambda parameter: parameter.name in left_alone,
            **self.config.moments(),
            **self.options(groups, clip),
        )
