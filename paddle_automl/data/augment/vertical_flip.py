"""Random mirroring top to bottom."""

from __future__ import annotations

from paddle_automl.data.augment._flip import Flip
from paddle_automl.data.augment.base import AUGMENTATIONS


@AUGMENTATIONS.register("vertical_flip")
class VerticalFlip(Flip):
    """Mirror a random fraction of the images top to bottom."""

    axis = 2
