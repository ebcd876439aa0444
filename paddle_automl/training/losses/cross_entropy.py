"""Cross entropy with label smoothing."""

from __future__ import annotations

from typing import ClassVar

from paddle import Tensor
from paddle.nn import functional as F
from pydantic import Field

from paddle_automl.core.schema import PluginConfig
from paddle_automl.training.losses.base import LOSSES, Loss, log_probabilities, mean_over_classes, smoothed


@LOSSES.register("cross_entropy")
class CrossEntropy(Loss):
    """-sum_k t_k log p_k, with targets smoothed as in Szegedy et al. 2016."""

    class Config(PluginConfig):
        """Options of cross entropy."""

        label_smoothing: float = Field(0.0, ge=0, lt=1)
        """Fraction of each target that is spread evenly over all classes."""

    config: Config
    tasks: ClassVar[frozenset[str]] = frozenset({"single_label"})
    takes_class_weights = True

    def forward(self, outputs: Tensor, features: Tensor, targets: Tensor) -> Tensor:  # noqa: D102
        spread = smoothed(targets, self.config.label_smoothing)
        if self.class_weights is None:
            return F.cross_entropy(outputs, spread, soft_label=True)
        # What is spread to other classes does not count where the item's own class has weight 0.
        counted = ((targets * self.class_weights).sum(axis=1, keepdim=True) > 0).astype(spread.dtype)
        return mean_over_classes(-log_probabilities(outputs), spread * counted, self.class_weights)
