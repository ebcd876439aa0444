"""Random shear."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from paddle_automl.core.schema import PluginConfig
from paddle_automl.data.augment.base import AUGMENTATIONS, Augmentation, Fill
from paddle_automl.data.warp import warp


@AUGMENTATIONS.register("shear")
class Shear(Augmentation):
    """Shear each image about its centre by a random angle, as in Simard et al., 2003, interpolated bilinearly.

    A horizontal shear by the angle a moves the pixel (y, x) to x - y tan(a), a vertical one to y - x tan(a).
    """

    class Config(PluginConfig):
        """Largest angle, directions, and values of the corners."""

        degrees: float = Field(default=10.0, gt=0, lt=90)
        """Largest angle in either direction; angles are drawn uniformly."""

        axes: Literal["horizontal", "vertical", "both"] = "horizontal"
        """horizontal (rows are shifted), vertical (columns are shifted), or both, each with its own angle."""

        fill: Fill = "zero"
        """Values of the empty corners: zero (black) or reflect (the mirrored image)."""

    def __init__(self, config: Config) -> None:
        self.config = config

    def __call__(
        self, images: np.ndarray, targets: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return sheared images ``[B, C, H, W]`` and the targets as they are."""
        angles = rng.uniform(-self.config.degrees, self.config.degrees, (len(images), 2))
        slopes = np.tan(np.deg2rad(angles))
        matrices = np.tile(np.eye(2), (len(images), 1, 1))
        if self.config.axes != "vertical":
            matrices[:, 1, 0] = slopes[:, 0]
        if self.config.axes != "horizontal":
            matrices[:, 0, 1] = slopes[:, 1]
        return warp(images, matrices, self.config.fill), targets
