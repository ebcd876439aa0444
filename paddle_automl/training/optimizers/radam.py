"""RAdam."""

from __future__ import annotations

from collections.abc import Sequence

import paddle

from paddle_automl.training.optimizers.adam import AdamConfig
from paddle_automl.training.optimizers.base import OPTIMIZERS, Optimizer, ParameterGroup


@OPTIMIZERS.register("radam")
class RAdam(Optimizer):
    """Rectified Adam: uses the second moment only after enough steps (Liu et al. 2020, algorithm 2).

    With rho = 2 / (1 - beta2) - 1 and rho_t = rho - 2 t beta2^t / (1 - beta2^t): the step is that of momentum while
    rho_t <= 5, afterwards Adam's times
    sqrt((rho_t - 4) (rho_t - 2) rho / ((rho - 4) (rho - 2) rho_t)). Weight decay is L2, added to the gradient.
    """

    class Config(AdamConfig):
        """Options of RAdam."""

    config: Config

    def build(  # noqa: D102
        self, groups: Sequence[ParameterGroup], clip: paddle.nn.ClipGradBase | None
    ) -> paddle.optimizer.Optimizer:
        return paddle.optimizer.RAdam(**self.config.moments(), **self.options(groups, clip))
