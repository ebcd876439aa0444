"""LAMB."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import paddle
from pydantic import Field

from paddle_automl.training.optimizers.adam import AdamConfig
from paddle_automl.training.optimizers.base import OPTIMIZERS, Optimizer, ParameterGroup


@OPTIMIZERS.register("lamb")
class Lamb(Optimizer):
    """Adam whose step is scaled layer by layer to the weights' norm (You et al. 2020), for large batches."""

    class Config(AdamConfig):
        """Options of LAMB."""

        learning_rate: float = Field(0.005, gt=0)
        """Step size at its highest; the schedule multiplies it."""
        weight_decay: float = Field(0.01, ge=0)
        """Pull of kernels and weights towards zero; biases and the scales of normalizations are left alone."""
        epsilon: float = Field(1e-6, gt=0)
        """Added to the denominator."""

    config: Config

    def build(  # noqa: D102
        self, groups: Sequence[ParameterGroup], clip: paddle.nn.ClipGradBase | None
    ) -> paddle.optimizer.Optimizer:
        config = self.config
        return paddle.optimizer.Lamb(
            beta1=config.beta1, beta2=config.beta2, epsilon=config.epsilon, **self.options(groups, clip)
        )

    def group(self, group: ParameterGroup) -> dict[str, Any]:
        """Return a parameter group in Paddle's form, with the decay under LAMB's own name."""
        decay = self.config.weight_decay if group.decayed else 0.0
        return {"params": list(group.parameters), "learning_rate": group.rate, "lamb_weight_decay": decay}
