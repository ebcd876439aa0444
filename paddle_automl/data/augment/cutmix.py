"""CutMix: a rectangle of another image, and a fraction of its target."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from paddle_automl.core.schema import PluginConfig
from paddle_automl.data.augment.base import AUGMENTATIONS, Augmentation


@AUGMENTATIONS.register("cutmix")
class CutMix(Augmentation):
    """Put a random rectangle of a partner from the same batch into each image, and mix the targets by area.

    Yun et al., 2019, arXiv:1905.04899, section 3.1: l ~ Beta(alpha, alpha); the rectangle has the sides W sqrt(1 -
    l) and H sqrt(1 - l) and a uniform centre. As in the authors' code, it is clipped at the image's border, l is
    then set to the fraction that was kept, and one rectangle is used for a whole batch.
    """

    stage: ClassVar[Literal["item", "batch"]] = "batch"

    class Config(PluginConfig):
        """Strength and frequency."""

        alpha: float = Field(default=1.0, gt=0)
        """Both parameters of the Beta distribution; 1 makes all areas equally likely."""

        probability: float = Field(default=0.5, ge=0, le=1)
        """Probability that a batch is mixed."""

    def __init__(self, config: Config) -> None:
        self.config = config

    def __call__(
        self, images: np.ndarray, targets: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return images ``[B, C, H, W]`` with a rectangle of another one, and targets ``[B, K]``, both float32."""
        if rng.random() >= self.config.probability:
            return images, targets
        height, width = images.shape[2:]
        side = np.sqrt(1 - rng.beta(self.config.alpha, self.config.alpha))
        top, bottom = _span(rng.integers(height), int(height * side), height)
        left, right = _span(rng.integers(width), int(width * side), width)
        partners = rng.permutation(len(images))
        mixed = images.copy()
        mixed[:, :, top:bottom, left:right] = images[partners, :, top:bottom, left:right]
        fraction = np.float32((bottom - top) * (right - left) / (height * width))
        return mixed, (1 - fraction) * targets + fraction * targets[partners]


def _span(centre: int, length: int, size: int) -> tuple[int, int]:
    start = int(centre) - length // 2
    return max(0, start), min(size, start + length)
