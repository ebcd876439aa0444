"""What the two flips have in common."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from paddle_automl.core.schema import PluginConfig
from paddle_automl.data.augment.base import Augmentation


class Flip(Augmentation):
    """Mirrors a random fraction of the images along one axis."""

    axis: ClassVar[int]
    """Axis of ``[B, C, H, W]`` that is reversed."""

    class Config(PluginConfig):
        """How often."""

        probability: float = Field(default=0.5, ge=0, le=1)
        """Probability that an image is mirrored."""

    def __init__(self, config: Config) -> None:
        self.config = config

    def __call__(
        self, images: np.ndarray, targets: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return images ``[B, C, H, W]``, some of them mirrored, and the targets as they are."""
        chosen = rng.random(len(images)) < self.config.probability
        result = images.copy()
        result[chosen] = np.flip(images[chosen], self.axis)
        return result, targets
