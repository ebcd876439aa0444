"""A part of the data (training, validation, test) and its batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from paddle_automl.data.augment.base import Augmenter
from paddle_automl.data.preprocess import Preprocess
from paddle_automl.data.stores import PixelStore
from paddle_automl.inputs.image.shrinking import shrink


class Batch(NamedTuple):
    """Normalized images with their labels."""

    images: np.ndarray
    """``[B, C, H, W]`` float32."""

    targets: np.ndarray
    """``[B, K]`` float32, rows of sum 1: one-hot, or soft after mixup and cutmix."""

    labels: np.ndarray
    """``[B]`` int64, the images' own labels."""


class Part:
    """Some images of the data set, by index into a store of pixels that all parts share.

    `labels`: ``[n]`` int64. `files`: the original image files, or None for a data set of arrays.
    """

    def __init__(
        self,
        store: PixelStore,
        indices: np.ndarray,
        all_labels: np.ndarray,
        *,
        num_classes: int,
        preprocess: Preprocess,
        all_files: Sequence[Path] | None = None,
    ) -> None:
        self.indices = indices
        self.labels = all_labels[indices]
        self.num_classes = num_classes
        self.preprocess = preprocess
        self._store = store
        self._all_labels = all_labels
        self._all_files = all_files

    def __len__(self) -> int:
        return len(self.indices)

    @cached_property
    def files(self) -> tuple[Path, ...] | None:
        """Return the original file of each image, or None for a data set of arrays."""
        return None if self._all_files is None else tuple(self._all_files[index] for index in self.indices)

    def raw(self, positions: Sequence[int] | np.ndarray) -> np.ndarray:
        """Return the decoded pixels of the images at `positions` of this part, ``[n, C, H, W]`` uint8."""
        return self._store.take(self.indices[np.asarray(positions, dtype=np.int64)])

    def with_indices(self, indices: np.ndarray) -> Part:
        """Return another part of the same data: the images at `indices` of the whole data set."""
        return Part(
            self._store,
            indices,
            self._all_labels,
            num_classes=self.num_classes,
            preprocess=self.preprocess,
            all_files=self._all_files,
        )

    def batches(
        self,
        batch_size: int,
        *,
        rng: np.random.Generator | None = None,
        augment: Augmenter | None = None,
        drop_last: bool = False,
        count: int | None = None,
        size: tuple[int, int] | None = None,
    ) -> Iterator[Batch]:
        """Yield one pass over the part; with `rng` in random order, which it alone determines.

        `augment` draws from `rng` too, so it needs one. `drop_last` leaves out an incomplete last batch,
        unless it is the only one. With `count` the pass ends after so many images, the first in its order. With
        `size` (height, width) the normalized images are shrunk to it, after the augmentation of single images
        and before that of whole batches.
        """
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        if augment is not None and rng is None:
            raise ValueError("augmentation needs a random generator: give rng")
        order = np.arange(len(self)) if rng is None else rng.permutation(len(self))
        order = order[:count]
        rows = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
        if drop_last and len(rows) > 1 and len(rows[-1]) < batch_size:
            rows.pop()
        return self._batches(rows, rng, augment, size or self.preprocess.image_size)

    def _batches(
        self,
        rows: list[np.ndarray],
        rng: np.random.Generator | None,
        augment: Augmenter | None,
        size: tuple[int, int],
    ) -> Iterator[Batch]:
        one_hot = np.eye(self.num_classes, dtype=np.float32)
        pixels = self._store.stream([self.indices[batch] for batch in rows])
        for batch, images in zip(rows, pixels, strict=True):
            labels = self.labels[batch]
            targets = one_hot[labels]
            if augment is None or rng is None:
                yield Batch(shrink(self.preprocess.normalize(images), size), targets, labels)
                continue
            images, targets = augment.pixels(images, targets, rng)
            images, targets = augment.batch(shrink(self.preprocess.normalize(images), size), targets, rng)
            yield Batch(images, targets, labels)


@dataclass(frozen=True)
class PreparedData:
    """Data ready for training: its parts, the class names and the preprocessing that a bundle will carry.

    `skipped`: image files that were left out because they cannot be read, with the reason.
    """

    train: Part
    validation: Part
    test: Part
    class_names: tuple[str, ...]
    preprocess: Preprocess
    skipped: tuple[tuple[Path, str], ...] = ()

    @property
    def num_classes(self) -> int:
        """Return the number of classes."""
        return len(self.class_names)

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Return (channels, height, width)."""
        return self.preprocess.input_shape

    def joined(self) -> Part:
        """Return the training and the validation images as one part."""
        indices = np.sort(np.concatenate([self.train.indices, self.validation.indices]))
        return self.train.with_indices(indices)
