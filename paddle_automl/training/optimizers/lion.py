"""Lion."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import paddle
from paddle import Tensor
from pydantic import Field

from paddle_automl.training.optimizers._rule import RuleOptimizer
from paddle_automl.training.optimizers.base import (
    OPTIMIZERS,
    Optimizer,
    OptimizerConfig,
    ParameterGroup,
    decay_by_name,
)


@OPTIMIZERS.register("lion")
class Lion(Optimizer):
    """Steps along the sign of the momentum, all of one size (Chen et al. 2023, arXiv:2302.06675, algorithm 2).

    p <- p - rate (sign(beta1 m + (1 - beta1) g) + decay p); m <- beta2 m + (1 - beta2) g. Its rate is about a
    tenth of AdamW's, its weight decay ten times as large.
    """

    class Config(OptimizerConfig):
        """Options of Lion."""

        learning_rate: float = Field(3e-4, gt=0)
        """Largest step size; the schedule multiplies it."""
        weight_decay: float = Field(0.1, ge=0)
        """Pull of kernels and weights towards zero; biases and the scales of normalizations are left alone."""
        beta1: float = Field(0.9, ge=0, lt=1)
        """Weight of the mean of gradients in a step's direction."""
        beta2: float = Field(0.99, ge=0, lt=1)
        """Decay of the mean of gradients."""

    config: Config
    decay_in_gradient = False

    def build(  # noqa: D102
        self, groups: Sequence[ParameterGroup], clip: paddle.nn.ClipGradBase | None
    ) -> paddle.optimizer.Optimizer:
        decay = decay_by_name(groups, self.config.weight_decay)
        return _Lion(self.config.beta1, self.config.beta2, decay=decay, **self.options(groups, clip))


class _Lion(RuleOptimizer):
    def __init__(self, beta1: float, beta2: float, **options: Any) -> None:
        super().__init__(**options)
        self._betas = beta1, beta2

    def update(self, name: str, parameter: Tensor, gradient: Tensor, rate: Tensor, *states: Tensor) -> None:
        (mean,), (beta1, beta2) = states, self._betas
        direction = (mean * beta1 + gradient * (1.0 - beta1)).sign()
        if decay := self.decay.get(name, 0.0):
            direction += parameter * decay
        parameter.subtract_(direction * rate)
        mean.scale_(beta2).add_(gradient * (1.0 - beta2))
