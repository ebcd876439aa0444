"""NAdam."""

from __future__ import annotations

from collections.abc import Sequence

import paddle
from pydantic import Field

from paddle_automl.training.optimizers.adam import AdamConfig
from paddle_automl.training.optimizers.base import OPTIMIZERS, Optimizer, ParameterGroup


@OPTIMIZERS.register("nadam")
class NAdam(Optimizer):
    """Adam with Nesterov's momentum (Dozat 2016, algorithm 2); weight decay is L2, added to the gradient.

    With mu_t = beta1 (1 - 0.5 0.96^(t psi)), psi = `momentum_decay`, and Adam's means m and v:
    p <- p - rate (mu_{t+1} m / (1 - mu_1..mu_{t+1}) + (1 - mu_t) g / (1 - mu_1..mu_t))
    / (sqrt(v / (1 - beta2^t)) + epsilon).
    """

    class Config(AdamConfig):
        """Options of NAdam."""

        learning_rate: float = Field(0.002, gt=0)
        """Largest step size; the schedule multiplies it."""
        momentum_decay: float = Field(0.004, ge=0)
        """How fast the momentum grows from half of beta1 to beta1."""

    config: Config

    def build(  # noqa: D102
        self, groups: Sequence[ParameterGroup], clip: paddle.nn.ClipGradBase | None
    ) -> paddle.optimizer.Optimizer:
        return paddle.optimizer.NAdam(
            momentum_decay=self.config.momentum_decay, **self.config.moments(), **self.options(groups, clip)
        )
