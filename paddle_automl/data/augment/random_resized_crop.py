"""Random window, enlarged to the whole image."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from paddle_automl.core.schema import PluginConfig
from paddle_automl.data.augment.base import AUGMENTATIONS, Augmentation
from paddle_automl.data.warp import warp


@AUGMENTATIONS.register("random_resized_crop")
class RandomResizedCrop(Augmentation):
    """Cut a window of random area and shape out of each image and enlarge it to the image's size.

    Szegedy et al., 2015, arXiv:1409.4842, section 6: the area is uniform, as a fraction of the image's; the
    logarithm of the ratio of width to height is uniform; so is the position. A window that is wider or higher than
    the image is cut to its size. Interpolated bilinearly.
    """

    class Config(PluginConfig):
        """Size and shape of the windows."""

        area: float = Field(default=0.35, gt=0, le=1)
        """Smallest area, as a fraction of the image; 0.08 is usual for photos such as those of ImageNet."""

        ratio: float = Field(default=4 / 3, ge=1)
        """Largest factor by which the window's aspect ratio differs from that of the image."""

    def __init__(self, config: Config) -> None:
        self.config = config

    def __call__(
        self, images: np.ndarray, targets: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return enlarged windows ``[B, C, H, W]`` and the targets as they are."""
        count, size = len(images), np.array(images.shape[2:])
        area = rng.uniform(self.config.area, 1, count)
        ratio = np.exp(np.log(self.config.ratio) * rng.uniform(-1, 1, count))
        sides = np.minimum(np.sqrt(np.stack([area / ratio, area * ratio], axis=1)), 1)
        # From the image's centre to the window's, at most as far as the window stays inside the image.
        shifts = rng.uniform(-0.5, 0.5, (count, 2)) * (1 - sides) * size
        matrices = sides[:, :, None] * np.eye(2)
        return warp(images, matrices, "reflect", shifts), targets
