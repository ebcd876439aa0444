"""Random zoom about the centre."""

from __future__ import annotations

import numpy as np
from pydantic import Field, model_validator

from paddle_automl.core.schema import PluginConfig
from paddle_automl.data.augment._ranges import check_range
from paddle_automl.data.augment.base import AUGMENTATIONS, Augmentation, Fill
from paddle_automl.data.warp import warp


@AUGMENTATIONS.register("scale")
class Scale(Augmentation):
    """Zoom each image about its centre by a random factor, the same in both directions.

    A factor above 1 enlarges the image and cuts its border off; a factor below 1 shrinks it and fills the border.
    """

    class Config(PluginConfig):
        """Range of the factor, and values of the border."""

        low: float = Field(default=0.8, gt=0)
        """Smallest factor."""

        high: float = Field(default=1.2, gt=0)
        """Largest factor; factors are drawn uniformly between the two."""

        fill: Fill = "zero"
        """Values of the border of a shrunk image: zero (black) or reflect (the mirrored image)."""

        _check_range = model_validator(mode="after")(check_range)

    def __init__(self, config: Config) -> None:
        self.config = config

    def __call__(
        self, images: np.ndarray, targets: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return zoomed images ``[B, C, H, W]`` and the targets as they are."""
        factors = rng.uniform(self.config.low, self.config.high, len(images))
        matrices = np.eye(2) / factors[:, None, None]
        return warp(images, matrices, self.config.fill), targets
