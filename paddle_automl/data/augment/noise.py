"""Random noise."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from paddle_automl.core.schema import PluginConfig
from paddle_automl.data.augment._pixels import rounded
from paddle_automl.data.augment.base import AUGMENTATIONS, Augmentation


@AUGMENTATIONS.register("noise")
class Noise(Augmentation):
    """Add normal noise to each pixel, with a standard deviation drawn from 0 to `std` (Bishop, 1995).

    x' = x + 255 s z with z ~ N(0, 1) for each pixel and channel, and s ~ U(0, std) for each image.
    """

    class Config(PluginConfig):
        """How much."""

        std: float = Field(default=0.05, gt=0, le=1)
        """Largest standard deviation, as a fraction of the range from black to white."""

    def __init__(self, config: Config) -> None:
        self.config = config

    def __call__(
        self, images: np.ndarray, targets: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return noisy images ``[B, C, H, W]`` and the targets as they are."""
        strengths = rng.uniform(0, 255 * self.config.std, len(images)).astype(np.float32)
        values = rng.standard_normal(images.shape, dtype=np.float32)
        values *= strengths[:, None, None, None]
        values += images
        return rounded(values), targets
