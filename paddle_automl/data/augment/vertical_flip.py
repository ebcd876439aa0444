"""Random mirroring top to bottom."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from paddle_automl.core.schema import PluginConfig
from paddle_automl.data.augment.base import AUGMENTATIONS, Augmentation


@AUGMENTATIONS.register("vertical_flip")
class VerticalFlip(Augmentation):
    """Mirror a random fraction of the images top to bottom."""

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
        result[chosen] = images[chosen][:, :, ::-1]
        return result, targets
