"""Asymmetric loss for several labels."""

from __future__ import annotations

from typing import ClassVar

from paddle import Tensor
from paddle.nn import functional as F
from pydantic import Field

from paddle_automl.core.schema import PluginConfig
from paddle_automl.training.losses.base import LOSSES, Loss


@LOSSES.register("asymmetric")
class Asymmetric(Loss):
    """Binary cross entropy that down-weights easy negatives, for many labels of which few apply (Ridnik et al.).

    Ridnik et al., Asymmetric Loss For Multi-Label Classification (ICCV 2021), eq. 7: the mean over items and
    labels of -w t (1 - p)^gamma_positive log p - (1 - t) q^gamma_negative log(1 - q) with p = sigmoid(output) and
    q = max(p - margin, 0). w is the label's class weight, 1 by default. The paper uses the sum instead of the mean.
    """

    class Config(PluginConfig):
        """Options of the asymmetric loss."""

        gamma_negative: float = Field(4.0, ge=0)
        """How strongly well-predicted labels that do not apply are down-weighted; 0: not at all."""
        gamma_positive: float = Field(0.0, ge=0)
        """How strongly well-predicted labels that apply are down-weighted; 0: not at all."""
        margin: float = Field(0.05, ge=0, lt=1)
        """Probability below which a label that does not apply costs nothing."""

    config: Config
    tasks: ClassVar[frozenset[str]] = frozenset({"multi_label"})
    takes_class_weights = True

    def forward(self, outputs: Tensor, features: Tensor, targets: Tensor) -> Tensor:  # noqa: D102
        config = self.config
        probability = F.sigmoid(outputs)
        # Kept above zero, where the derivative of a power below 1 is infinite.
        positives = F.softplus(-outputs) * (1.0 - probability).clip(min=1e-7) ** config.gamma_positive
        if config.margin:
            shifted = (probability - config.margin).clip(min=0.0)
            negatives = -(1.0 - shifted).log()
        else:
            shifted, negatives = probability, F.softplus(outputs)
        negatives = negatives * shifted.clip(min=1e-7) ** config.gamma_negative
        if self.class_weights is not None:
            positives = positives * self.class_weights
        return (targets * positives + (1.0 - targets) * negatives).mean()
