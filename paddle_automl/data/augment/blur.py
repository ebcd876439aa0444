"""Random blur."""

from __future__ import annotations

import numpy as np
from pydantic import Field, model_validator

from paddle_automl.core.schema import PluginConfig
from paddle_automl.data.augment._pixels import changed, rounded
from paddle_automl.data.augment._ranges import check_range
from paddle_automl.data.augment.base import AUGMENTATIONS, Augmentation


@AUGMENTATIONS.register("blur")
class Blur(Augmentation):
    """Blur a random fraction of the images with a Gaussian of random width, as in SimCLR (Chen et al., 2020).

    See arXiv:2002.05709, appendix A. The kernel exp(-d^2 / (2 sigma^2)) extends to three times the largest sigma,
    along rows, then columns; beyond the border the image is mirrored.
    """

    class Config(PluginConfig):
        """Strength and frequency."""

        low: float = Field(default=0.1, gt=0)
        """Smallest standard deviation of the Gaussian, in pixels."""

        high: float = Field(default=1.0, gt=0, le=20)
        """Largest standard deviation; values are drawn uniformly between the two."""

        probability: float = Field(default=0.5, ge=0, le=1)
        """Probability that an image is blurred."""

        _check_range = model_validator(mode="after")(check_range)

    def __init__(self, config: Config) -> None:
        self.config = config

    def __call__(
        self, images: np.ndarray, targets: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return images ``[B, C, H, W]``, some of them blurred, and the targets as they are."""
        chosen = rng.random(len(images)) < self.config.probability
        widths = rng.uniform(self.config.low, self.config.high, len(images))[chosen]
        return changed(images, chosen, lambda some: self._blurred(some, widths)), targets

    def _blurred(self, images: np.ndarray, widths: np.ndarray) -> np.ndarray:
        radius = int(np.ceil(3 * self.config.high))
        weights = np.exp(-(np.arange(radius + 1) ** 2) / (2 * widths[:, None] ** 2))
        weights /= 2 * weights.sum(axis=1, keepdims=True) - 1
        values = images.astype(np.float32)
        for axis in (2, 3):
            values = _along(values, axis, weights.astype(np.float32))
        return rounded(values)


def _along(values: np.ndarray, axis: int, weights: np.ndarray) -> np.ndarray:
    """Convolve along one axis; `weights` ``[B, R + 1]`` are those of the distances from 0."""
    radius, size = weights.shape[1] - 1, values.shape[axis]
    sides = [(0, 0)] * values.ndim
    sides[axis] = (radius, radius)
    padded = np.moveaxis(np.pad(values, sides, mode="reflect"), axis, 0)
    shaped = weights[:, :, None, None]
    result = padded[radius : radius + size] * shaped[:, 0]
    for distance in range(1, radius + 1):
        pair = padded[radius - distance : radius - distance + size] + padded[radius + distance :][:size]
        pair *= shaped[:, distance]
        result += pair
    return np.moveaxis(result, 0, axis)
