"""Cross entropy with a margin on angles."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from paddle import Tensor, nn
from pydantic import Field

from paddle_automl.core.errors import ConfigError
from paddle_automl.core.schema import PluginConfig
from paddle_automl.training.losses.base import LOSSES, Loss, log_probabilities, mean_over_classes

DEFAULT_SCALE = 10.0
"""Scale of the outputs where no network is attached: that of a new cosine head."""
LARGEST = 1.0 - 1e-6
"""Largest cosine; at 1 the derivative of the angle is infinite."""


@LOSSES.register("arcface")
class ArcFace(Loss):
    """Cross entropy after the angle between features and their class's vector is widened by a margin.

    Deng et al., ArcFace: Additive Angular Margin Loss for Deep Face Recognition (2019), eq. 3: the cosine of the
    right class becomes cos(theta + margin), so that the features of a class come closer together. Needs
    `model.head: cosine`, whose outputs are scaled cosines plus a bias that has no part in the angles; the paper has
    a scale of 64 and no bias. As in the authors' code, an angle that the margin would take beyond 180 degrees gives
    cos(theta) - margin sin(margin) instead. With soft targets t (mixup) each cosine is replaced by a fraction t of
    that.
    """

    class Config(PluginConfig):
        """Options of ArcFace."""

        margin: float = Field(0.3, ge=0, lt=math.pi / 2)
        """Angle that is added, in radians; the paper has 0.5, for many classes and deep networks."""

    config: Config
    tasks: ClassVar[frozenset[str]] = frozenset({"single_label"})
    takes_class_weights = True

    def __init__(self, config: Config, **options: Any) -> None:
        super().__init__(config, **options)
        # In a tuple, so that the head's parameters do not become those of the loss.
        self._head: tuple[Tensor | float, Tensor | float] = (DEFAULT_SCALE, 0.0)

    def attach(self, network: nn.Layer) -> None:
        """Take scale and bias of the network's head; raises ConfigError if its outputs are not cosines."""
        head = getattr(network, "fc", None)
        scale, bias = getattr(head, "scale", None), getattr(head, "bias", None)
        if not isinstance(scale, Tensor):
            raise ConfigError(
                "training.loss: arcface widens angles, so the outputs must be scaled cosines; "
                "set model.head: cosine"
            )
        self._head = (scale, 0.0 if bias is None else bias)

    def forward(self, outputs: Tensor, features: Tensor, targets: Tensor) -> Tensor:  # noqa: D102
        (scale, bias), margin = self._head, self.config.margin
        cosine = ((outputs - bias) / scale).clip(min=-LARGEST, max=LARGEST)
        sine = (1.0 - cosine.square()).sqrt()
        widened = cosine * math.cos(margin) - sine * math.sin(margin)
        beyond = (cosine < math.cos(math.pi - margin)).astype(cosine.dtype)
        widened = beyond * (cosine - margin * math.sin(margin)) + (1.0 - beyond) * widened
        logits = scale * (cosine + targets * (widened - cosine)) + bias
        return mean_over_classes(-log_probabilities(logits), targets, self.class_weights)
