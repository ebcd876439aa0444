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
    """Put a square of zeros, which is the mean color of the training images, into each normalized image.

    DeVries and Taylor, 2017, arXiv:1708.04552, section 3.2: the centre is any pixel, and the square is clipped at
    the border. It runs on the network's input, after `training.progressive` has shrunk images.
    """

    stage: ClassVar[Literal["item", "batch"]] = "batch"

    class Config(PluginConfig):
        """Size and frequency."""

        size: int = Field(default=8, ge=1)
        """Side of the square in pixels; the paper uses 16 (CIFAR-10) and 8 (CIFAR-100) for images of 32 pixels."""

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
        # A product would keep a NaN and write -0.
        return np.where(blocks(images.shape, top, left, sides, sides), np.float32(0), images), targets
