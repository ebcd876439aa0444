"""Random crop of the padded image."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from pydantic import Field

from paddle_automl.core.schema import PluginConfig
from paddle_automl.data.augment.base import AUGMENTATIONS, Augmentation, Fill


@AUGMENTATIONS.register("random_crop")
class RandomCrop(Augmentation):
    """Pad each image on all sides and cut out a random window of the original size.

    Equal to a random shift by up to `padding` pixels, as in He et al., 2016, arXiv:1512.03385, section 4.2.
    """

    class Config(PluginConfig):
        """Size and kind of the padding."""

        padding: int = Field(default=4, ge=1)
        """Pixels added on each side."""

        fill: Fill = "zero"
        """Values of the added pixels: zero (black) or reflect (the mirrored image)."""

    def __init__(self, config: Config) -> None:
        self.config = config

    def __call__(
        self, images: np.ndarray, targets: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return shifted images ``[B, C, H, W]`` and the targets as they are."""
        count, _, height, width = images.shape
        padding = self.config.padding
        top = rng.integers(0, 2 * padding + 1, count)
        left = rng.integers(0, 2 * padding + 1, count)
        padded = self._padded(images)
        windows = sliding_window_view(padded, (height, width), axis=(2, 3))  # type: ignore[call-overload]
        return np.ascontiguousarray(windows[np.arange(count), :, top, left]), targets

    def _padded(self, images: np.ndarray) -> np.ndarray:
        padding = self.config.padding
        count, channels, height, width = images.shape
        if self.config.fill == "reflect":
            sides = ((0, 0), (0, 0), (padding, padding), (padding, padding))
            return np.pad(images, sides, mode="reflect")
        padded = np.zeros((count, channels, height + 2 * padding, width + 2 * padding), dtype=images.dtype)
        padded[:, :, padding:-padding, padding:-padding] = images
        return padded
