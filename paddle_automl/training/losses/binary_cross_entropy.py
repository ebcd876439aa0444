"""Binary cross entropy of each label."""

from __future__ import annotations

from typing import ClassVar

from paddle import Tensor
from paddle.nn import functional as F
from pydantic import Field

from paddle_automl.core.schema import PluginConfig
from paddle_automl.training.losses.base import LOSSES, Loss


@LOSSES.register("binary_cross_entropy")
class BinaryCrossEntropy(Loss):
    """Mean over items and labels of -w t log p - (1 - t) log(1 - p), with p = sigmoid(output).

    Bishop, Pattern Recognition and Machine Learning (2006), eq. 4.90. w is the label's class weight, 1 by default,
    which applies to items with the label; smoothing does not change which these are.
    """

    class Config(PluginConfig):
        """Options of binary cross entropy."""

        label_smoothing: float = Field(0.0, ge=0, lt=1)
        """Fraction of each target that is spread evenly over yes and no: t becomes (1 - s) t + s / 2."""

    config: Config
    tasks: ClassVar[frozenset[str]] = frozenset({"multi_label"})
    takes_class_weights = True

    def forward(self, outputs: Tensor, features: Tensor, targets: Tensor) -> Tensor:  # noqa: D102
        # log p = -softplus(-output), without rounding to log 0.
        positives, negatives = F.softplus(-outputs), F.softplus(outputs)
        smoothing = self.config.label_smoothing
        if smoothing:
            # (1 - s / 2) of the one and s / 2 of the other, which differ by the output. Costs are smoothed instead
            # of targets, so that the weight does not apply to items without the label.
            spread = smoothing / 2 * outputs
            positives, negatives = positives + spread, negatives - spread
        if self.class_weights is not None:
            positives = positives * self.class_weights
        return (targets * positives + (1.0 - targets) * negatives).mean()
