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
    """-sum_k t_k log p_k, with targets smoothed as in Szegedy et al. 2016.

    What smoothing spreads to other classes has the class weight of the item's own class.
    """

    class Config(PluginConfig):
        """Options of cross entropy."""

        label_smoothing: float = Field(0.0, ge=0, lt=1)
        """Fraction of each target that is spread evenly over all classes."""

    config: Config
    tasks: ClassVar[frozenset[str]] = frozenset({"single_label"})
    takes_class_weights = True

    def forward(self, outputs: Tensor, features: Tensor, targets: Tensor) -> Tensor:  # noqa: D102
        smoothing = self.config.label_smoothing
        if self.class_weights is None:
            return F.cross_entropy(outputs, smoothed(targets, smoothing), soft_label=True)
        terms = -log_probabilities(outputs)
        if smoothing:
            # sum_k smoothed(t)_k terms_k = sum_k t_k costs_k with these costs. Weights of the smoothed targets
            # would give most of an item of a common class to a rare one.
            terms = (1.0 - smoothing) * terms + smoothing * terms.mean(axis=1, keepdim=True)
        return mean_over_classes(terms, targets, self.class_weights)
