"""TrivialAugment."""

from __future__ import annotations

from typing import Literal

import numpy as np

from paddle_automl.core.schema import PluginConfig
from paddle_automl.data.augment._operations import ALL, STANDARD, WIDE, apply
from paddle_automl.data.augment.base import AUGMENTATIONS, Augmentation, Fill


@AUGMENTATIONS.register("trivial_augment")
class TrivialAugment(Augmentation):
    """Apply one random operation of random strength to each image (Müller and Hutter, 2021, arXiv:2103.10158).

    The operations are those of `rand_augment`; the strength is one of 31 levels, the direction random.
    """

    class Config(PluginConfig):
        """Strength of the operations."""

        ranges: Literal["wide", "standard"] = "wide"
        """Meaning of the highest level: that of the paper (rotations up to 135 degrees), or that of AutoAugment."""

        fill: Fill = "zero"
        """Values of the empty corners: zero (black) or reflect (the mirrored image)."""

    def __init__(self, config: Config) -> None:
        self.config = config

    def __call__(
        self, images: np.ndarray, targets: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return changed images ``[B, C, H, W]`` and the targets as they are."""
        count = len(images)
        chosen = np.array(ALL)[rng.integers(len(ALL), size=count)]
        strengths = rng.choice((-1.0, 1.0), count) * rng.integers(31, size=count) / 30
        ranges = WIDE if self.config.ranges == "wide" else STANDARD
        return apply(images, chosen, strengths, ranges=ranges, fill=self.config.fill), targets
