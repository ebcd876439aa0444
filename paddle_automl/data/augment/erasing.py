"""Random erasing."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field, model_validator

from paddle_automl.core.schema import PluginConfig
from paddle_automl.data.augment._pixels import blocks
from paddle_automl.data.augment._ranges import check_range
from paddle_automl.data.augment.base import AUGMENTATIONS, Augmentation


@AUGMENTATIONS.register("erasing")
class Erasing(Augmentation):
    """Fill a random rectangle of a random fraction of the images, anywhere inside them.

    Zhong et al., 2020, arXiv:1708.04896, algorithm 1: the area is uniform, as a fraction of the image's; the
    logarithm of the ratio of its sides is uniform between those of `ratio` and 1 / `ratio`. A rectangle that is
    wider or higher than the image is cut to its size.
    """

    class Config(PluginConfig):
        """Frequency, size and content of the rectangles."""

        probability: float = Field(default=0.5, ge=0, le=1)
        """Probability that a rectangle of an image is erased."""

        low: float = Field(default=0.02, gt=0, le=1)
        """Smallest area, as a fraction of the image."""

        high: float = Field(default=0.33, gt=0, le=1)
        """Largest area, as a fraction of the image."""

        ratio: float = Field(default=0.3, gt=0, le=1)
        """Smallest ratio of the shorter to the longer side."""

        fill: Literal["noise", "black", "mean"] = "noise"
        """Values of the rectangle: random pixels, black, or the mean of the image's channel."""

        _check_range = model_validator(mode="after")(check_range)

    def __init__(self, config: Config) -> None:
        self.config = config

    def __call__(
        self, images: np.ndarray, targets: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return images ``[B, C, H, W]``, some with a filled rectangle, and the targets as they are."""
        config, count = self.config, len(images)
        height, width = images.shape[2:]
        chosen = rng.random(count) < config.probability
        area = rng.uniform(config.low, config.high, count) * height * width
        ratio = np.exp(np.log(config.ratio) * rng.uniform(-1, 1, count))
        high = np.minimum(np.rint(np.sqrt(area * ratio)), height).astype(np.int64) * chosen
        wide = np.minimum(np.rint(np.sqrt(area / ratio)), width).astype(np.int64)
        places = rng.random((2, count))
        top = np.floor(places[0] * (height - high + 1)).astype(np.int64)
        left = np.floor(places[1] * (width - wide + 1)).astype(np.int64)
        mask = blocks(images.shape, top, left, high, wide)
        return np.where(mask, self._filling(images, rng), images), targets

    def _filling(self, images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        if self.config.fill == "noise":
            return rng.integers(0, 256, images.shape, dtype=np.uint8)
        if self.config.fill == "mean":
            return np.rint(images.mean(axis=(2, 3), keepdims=True)).astype(np.uint8)
        return np.zeros((1, 1, 1, 1), dtype=np.uint8)
