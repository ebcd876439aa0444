"""Random mirroring left to right."""

from __future__ import annotations

from paddle_automl.data.augment._flip import Flip
from paddle_automl.data.augment.base import AUGMENTATIONS


@AUGMENTATIONS.register("horizontal_flip")
class HorizontalFlip(Flip):
    """Mirror a random fraction of the images left to right."""

    axis = 3
