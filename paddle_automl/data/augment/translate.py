"""Random shift."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from paddle_automl.core.schema import PluginConfig
from paddle_automl.data.augment.base import AUGMENTATIONS, Augmentation, Fill
from paddle_automl.data.augment.random_crop import RandomCrop


@AUGMENTATIONS.register("translate")
class Translate(Augmentation):
    """Shift each image by whole pixels, up to the same number in all four directions, as in Jordan 2024.

    arXiv:2404.00498, section 3.1. Every pair of shifts is equally likely. It does the same as `random_crop`, but
    with mirrored borders by default.
    """

    class Config(PluginConfig):
        """Largest shift, and values of the border."""

        pixels: int = Field(default=2, ge=1)
        """Largest shift in pixels."""

        fill: Fill = "reflect"
        """Values of the border: zero (black) or reflect (the mirrored image)."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self._crop = RandomCrop(RandomCrop.Config(padding=config.pixels, fill=config.fill))

    def __call__(
        self, images: np.ndarray, targets: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return shifted images ``[B, C, H, W]`` and the targets as they are."""
        return self._crop(images, targets, rng)
