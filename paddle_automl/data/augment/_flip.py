"""What the two flips have in common."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from paddle_automl.data.augment._chosen import ChosenConfig, ChosenImages
from paddle_automl.data.augment._pixels import changed


class Flip(ChosenImages):
    """Mirrors a random fraction of the images along one axis."""

    axis: ClassVar[int]
    """Axis of ``[B, C, H, W]`` that is reversed."""

    class Config(ChosenConfig):
        """How often."""

    def changed(
        self, images: np.ndarray, targets: np.ndarray, chosen: np.ndarray, rng: np.random.Generator
    ) -> np.ndarray:
        del targets, rng
        return changed(images, chosen, lambda some: np.flip(some, self.axis))
