"""RandAugment."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from paddle_automl.core.schema import PluginConfig
from paddle_automl.data.augment._operations import ALL, STANDARD, apply
from paddle_automl.data.augment.base import AUGMENTATIONS, Augmentation, Fill


@AUGMENTATIONS.register("rand_augment")
class RandAugment(Augmentation):
    """Apply a few of fourteen operations to each image, all of one strength (Cubuk et al., 2020, arXiv:1909.13719).

    Operations are drawn with replacement: identity, autocontrast, equalize, rotate, solarize, color, posterize,
    contrast, brightness, sharpness, shear and shift along x and y, with the ranges of AutoAugment. The direction is
    random.
    """

    class Config(PluginConfig):
        """Number and strength of the operations."""

        operations: int = Field(default=2, ge=1)
        """Number of operations that are applied in sequence (N in the paper)."""

        magnitude: float = Field(default=5.0, ge=0, le=10)
        """Strength of all operations, 10 at most (M in the paper)."""

        fill: Fill = "zero"
        """Values of the empty corners: zero (black) or reflect (the mirrored image)."""

    def __init__(self, config: Config) -> None:
        self.config = config

    def __call__(
        self, images: np.ndarray, targets: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return changed images ``[B, C, H, W]`` and the targets as they are."""
        names = np.array(ALL)
        for _ in range(self.config.operations):
            chosen = names[rng.integers(len(ALL), size=len(images))]
            strengths = rng.choice((-0.1, 0.1), len(images)) * self.config.magnitude
            images = apply(images, chosen, strengths, ranges=STANDARD, fill=self.config.fill)
        return images, targets
