"""Random rotation about the centre."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from paddle_automl.core.schema import PluginConfig
from paddle_automl.data.augment.base import AUGMENTATIONS, Augmentation, Fill
from paddle_automl.data.warp import warp


@AUGMENTATIONS.register("rotation")
class Rotation(Augmentation):
    """Rotate each image about its centre by a random angle, interpolated bilinearly."""

    class Config(PluginConfig):
        """Largest angle, and values of the corners."""

        degrees: float = Field(default=10.0, gt=0, le=180)
        """Largest angle in either direction; angles are drawn uniformly."""

        fill: Fill = "zero"
        """Values of the empty corners: zero (black) or reflect (the mirrored image)."""

    def __init__(self, config: Config) -> None:
        self.config = config

    def __call__(
        self, images: np.ndarray, targets: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return rotated images ``[B, C, H, W]`` and the targets as they are."""
        angles = np.deg2rad(rng.uniform(-self.config.degrees, self.config.degrees, len(images)))
        cosine, sine = np.cos(angles), np.sin(angles)
        matrices = np.stack([cosine, sine, -sine, cosine], axis=1).reshape(-1, 2, 2)
        return warp(images, matrices, self.config.fill), targets
