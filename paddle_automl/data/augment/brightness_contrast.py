"""Random brightness and contrast."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from paddle_automl.core.schema import PluginConfig
from paddle_automl.data.augment._pixels import grey_means, stretched
from paddle_automl.data.augment.base import AUGMENTATIONS, Augmentation


@AUGMENTATIONS.register("brightness_contrast")
class BrightnessContrast(Augmentation):
    """Brighten or darken each image, and stretch it about its mean grey value, as in Howard, 2013, arXiv:1312.5402.

    x' = c b x + (1 - c) b m with the image's mean m, b uniform in 1 -+ brightness and c in 1 -+ contrast.
    """

    class Config(PluginConfig):
        """How much."""

        brightness: float = Field(default=0.2, ge=0, le=1)
        """Largest relative change of brightness."""

        contrast: float = Field(default=0.2, ge=0, le=1)
        """Largest relative change of the distance from the mean grey value."""

    def __init__(self, config: Config) -> None:
        self.config = config

    def __call__(
        self, images: np.ndarray, targets: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return changed images ``[B, C, H, W]`` and the targets as they are."""
        bright, contrast = 1 + rng.uniform(-1, 1, (2, len(images))) * [
            [self.config.brightness],
            [self.config.contrast],
        ]
        return stretched(images, contrast * bright, (1 - contrast) * bright * grey_means(images)), targets
