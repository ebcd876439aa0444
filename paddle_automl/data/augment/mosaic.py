"""Mosaic: an image's tiles in another order, or four images of a class in one picture."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from paddle_automl.data.augment._chosen import ChosenConfig, ChosenImages
from paddle_automl.data.augment.base import AUGMENTATIONS


@AUGMENTATIONS.register("mosaic")
class Mosaic(ChosenImages):
    """Make a random fraction of the images mosaics: of images of the same class, or of their own tiles.

    Four images in one picture are the mosaic of Bochkovskiy et al., YOLOv4 (2020), arXiv:2004.10934, section 3.3,
    here with a fixed centre and only of items of a batch whose targets are equal, so that targets do not change.
    Tiles in another order are those of Noroozi and Favaro, Unsupervised Learning of Visual Representations by
    Solving Jigsaw Puzzles (2016).
    """

    class Config(ChosenConfig):
        """Kind and frequency."""

        kind: Literal["same_class", "permuted"] = "same_class"
        """same_class: an image and three others with the same target, each at half its size; an image that is alone
        in its batch with its target appears four times. permuted: the tiles of an image in another order."""

        tiles: int = Field(default=2, ge=2, le=8)
        """Tiles along each side, with permuted. Pixels at the right and lower border that are left over stay."""

    config: Config

    def changed(  # noqa: D102
        self, images: np.ndarray, targets: np.ndarray, chosen: np.ndarray, rng: np.random.Generator
    ) -> np.ndarray:
        if self.config.kind == "permuted":
            made = permuted(images, self.config.tiles, rng)
        else:
            made = four_together(images, partners(targets, rng))
        return np.where(chosen[:, None, None, None], made, images)


def permuted(images: np.ndarray, tiles: int, rng: np.random.Generator) -> np.ndarray:
    """Return the images with their `tiles` x `tiles` tiles in random order, another one for each image."""
    count, channels, height, width = images.shape
    high, wide = height // tiles, width // tiles
    order = rng.random((count, tiles * tiles)).argsort(axis=1)
    result = images.copy()
    if high == 0 or wide == 0:
        return result
    inner = images[:, :, : high * tiles, : wide * tiles].reshape(count, channels, tiles, high, tiles, wide)
    cut = inner.transpose(0, 2, 4, 1, 3, 5).reshape(count, tiles * tiles, channels, high, wide)
    moved = cut[np.arange(count)[:, None], order].reshape(count, tiles, tiles, channels, high, wide)
    result[:, :, : high * tiles, : wide * tiles] = moved.transpose(0, 3, 1, 4, 2, 5).reshape(
        count, channels, high * tiles, wide * tiles
    )
    return result


def partners(targets: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return four items for each one, itself and three others with equal targets ``[B, K]``, in random order.

    Positions in the batch, int64 ``[B, 4]``. An item without others has itself.
    """
    count = len(targets)
    _, groups = np.unique(targets, axis=0, return_inverse=True)
    groups = groups.reshape(-1)
    sizes = np.bincount(groups)
    members = groups.argsort(kind="stable")
    starts = np.cumsum(sizes) - sizes
    ranks = np.empty(count, dtype=np.int64)
    ranks[members] = np.arange(count) - starts[groups[members]]
    size = sizes[groups][:, None]
    steps = 1 + np.floor(rng.random((count, 3)) * (size - 1)).astype(np.int64)
    others = members[starts[groups][:, None] + (ranks[:, None] + steps) % size]
    four = np.concatenate([np.arange(count)[:, None], others], axis=1)
    return np.take_along_axis(four, rng.random((count, 4)).argsort(axis=1), axis=1)


def four_together(images: np.ndarray, four: np.ndarray) -> np.ndarray:
    """Return pictures of four images each, `four` ``[B, 4]``: upper left, upper right, lower left, lower right."""
    height, width = images.shape[2:]
    result = np.empty_like(images)
    for index, place in enumerate(four.T):
        rows = slice(0, height // 2) if index < 2 else slice(height // 2, height)
        columns = slice(0, width // 2) if index % 2 == 0 else slice(width // 2, width)
        small = _shrunk(images, rows.stop - rows.start, columns.stop - columns.start)
        result[:, :, rows, columns] = small[place]
    return result


def _shrunk(images: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return the images at about half their size: each pixel is the mean of 2 x 2 neighbouring ones."""
    sums = np.zeros((*images.shape[:2], height, width), dtype=np.uint16)
    for down in (0, 1):
        rows = np.minimum(np.arange(height) * images.shape[2] // max(height, 1) + down, images.shape[2] - 1)
        for right in (0, 1):
            columns = np.minimum(np.arange(width) * images.shape[3] // max(width, 1) + right, images.shape[3] - 1)
            sums += images[:, :, rows[:, None], columns[None, :]]
    return np.asarray(((sums + 2) // 4).astype(images.dtype))
