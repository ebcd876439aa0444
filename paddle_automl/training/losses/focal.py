"""Focal loss."""

from __future__ import annotations

from typing import ClassVar

from paddle import Tensor
from pydantic import Field

from paddle_automl.core.schema import PluginConfig
from paddle_automl.training.losses.base import LOSSES, Loss, log_probabilities, mean_over_classes


@LOSSES.register("focal")
class Focal(Loss):
    """-sum_k t_k (1 - p_k)^gamma log p_k: Lin et al. 2017, eq. 4, over softmax probabilities."""

    class Config(PluginConfig):
        """Options of the focal loss."""

        gamma: float = Field(2.0, ge=0)
        """How strongly well-predicted examples are down-weighted; 0 is cross entropy."""

    config: Config
    tasks: ClassVar[frozenset[str]] = frozenset({"single_label"})
    takes_class_weights = True

    def forward(self, outputs: Tensor, features: Tensor, targets: Tensor) -> Tensor:  # noqa: D102
        logs = log_probabilities(outputs)
        # Kept above zero, where the derivative of a power below 1 is infinite.
        missing = (1.0 - logs.exp()).clip(min=1e-7)
        return mean_over_classes(-logs * missing**self.config.gamma, targets, self.class_weights)
