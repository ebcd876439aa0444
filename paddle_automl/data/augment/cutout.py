"""Cutout."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from paddle_automl.core.schema import PluginConfig
from paddle_automl.data.augment._pixels import blocks
from paddle_automl.data.augment.base import AUGMENTATIONS, Augmentation


@AUGMENTATIONS.register("cutout")
class Cutout(Augmentation):
    """Put a square of zeros into each normalized image: of the training images' mean colour.

    DeVries and Taylor, 2017, arXiv:1708.04552, section 3.2: the centre is any pixel, and what lies outside the
    image is cut off. It runs on the network's input, after images were shrunk by `training.progressive`.
    """

    stage: ClassVar[Literal["item", "batch"]] = "batch"

    class Config(PluginConfig):
        """How large and how often."""

        size: int = Field(default=8, ge=1)
        """Side of the square in pixels; the paper has 16 of 32 for CIFAR-10 and 8 of 32 for CIFAR-100."""

        probability: float = Field(default=1.0, ge=0, le=1)
        """Probability that an image gets a square."""

    def __init__(self, config: Config) -> None:
        self.config = config

    def __call__(
        self, images: np.ndarray, targets: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return images ``[B, C, H, W]`` float32 with a square of zeros, and the targets as they are."""
        count, _, height, width = images.shape
        chosen = rng.random(count) < self.config.probability
        top = rng.integers(height, size=count) - self.config.size // 2
        left = rng.integers(width, size=count) - self.config.size // 2
        sides = np.where(chosen, self.config.size, 0)
        # A product would leave a NaN in place and write -0.
        return np.where(blocks(images.shape, top, left, sides, sides), np.float32(0), images), targets
