"""Quantile loss."""

from __future__ import annotations

from typing import Any, ClassVar

import paddle
from paddle import Tensor

from paddle_automl.core.errors import ConfigError
from paddle_automl.core.schema import PluginConfig
from paddle_automl.training.losses.base import LOSSES, Loss


@LOSSES.register("quantile")
class Quantile(Loss):
    """Mean over items and outputs of max(q d, (q - 1) d), with d = target - output (Koenker and Bassett 1978).

    q is the output's quantile (``Task.levels``): 0.5 for the prediction itself; (1 - interval) / 2 and 1 minus that
    for the ends of the interval. The minimum is at the q-quantile of the target.
    """

    class Config(PluginConfig):
        """The quantile loss has no options; the task's interval sets the levels."""

    tasks: ClassVar[frozenset[str]] = frozenset({"regression"})

    def __init__(self, config: Config, **options: Any) -> None:
        super().__init__(config, **options)
        levels = self.task.levels
        if levels is None:
            raise ConfigError(f"training.loss: quantile: the outputs of the task {self.task.name} are no quantiles")
        self.levels = paddle.to_tensor(levels, dtype="float32")

    def forward(self, outputs: Tensor, features: Tensor, targets: Tensor) -> Tensor:  # noqa: D102
        difference = targets - outputs
        return paddle.maximum(self.levels * difference, (self.levels - 1.0) * difference).mean()
