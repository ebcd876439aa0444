"""Mirroring in every other epoch."""

from __future__ import annotations

import numpy as np

from paddle_automl.core.schema import PluginConfig
from paddle_automl.data.augment.base import AUGMENTATIONS, BatchPosition, PlacedAugmentation


@AUGMENTATIONS.register("alternating_flip")
class AlternatingFlip(PlacedAugmentation):
    """Mirror each image left to right in every other epoch, so two consecutive epochs show both views of all.

    Jordan, 2024, arXiv:2404.00498, section 3.6: in the first epoch a random half is mirrored, in the second the
    other half, and so on. The seed of the batches and the item's position in the data set decide the half. If the
    epoch is not known, a random half is mirrored.
    """

    def __init__(self, config: PluginConfig) -> None:
        self.config = config

    def __call__(
        self, images: np.ndarray, targets: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return images ``[B, C, H, W]``, a random half of them mirrored, and the unchanged targets."""
        return _mirrored(images, rng.random(len(images)) < 0.5), targets

    def placed(  # noqa: D102
        self, values: np.ndarray, targets: np.ndarray, rng: np.random.Generator, place: BatchPosition
    ) -> tuple[np.ndarray, np.ndarray]:
        # The seed alone, without drawing a number: the same in all epochs of a training.
        salt = rng.bit_generator.seed_seq.generate_state(1, np.uint64)
        first = _mixed(place.items.astype(np.uint64) + salt) >> np.uint64(63)
        return _mirrored(values, (first + np.uint64(place.epoch)) % np.uint64(2) == 1), targets


def _mirrored(images: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    result = images.copy()
    result[chosen] = images[chosen][..., ::-1]
    return result


def _mixed(numbers: np.ndarray) -> np.ndarray:
    """Return well-mixed 64-bit numbers, by SplitMix64's finalizer (Steele et al., 2014); overflow wraps around."""
    numbers = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    numbers = (numbers ^ (numbers >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: np.ndarray = numbers ^ (numbers >> np.uint64(31))
    return mixed
