"""What a data set hands over: labels with their class names, and arrays or files of images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from paddle_automl.core.errors import DataError

PARTS = ("train", "validation", "test")


@dataclass(frozen=True)
class Samples:
    """All images of a data set, in an order that depends on the data alone.

    `labels`: ``[N]`` int64, indices into `class_names`. Either `images`, ``[N, H, W, C]`` uint8, or `files`
    is given. `parts`: indices, int64, of the parts that the data set itself names (train, validation,
    test). `origins`: where each file is listed (``list.txt:12``), for messages.
    """

    labels: np.ndarray
    class_names: tuple[str, ...]
    images: np.ndarray | None = None
    files: tuple[Path, ...] | None = None
    parts: Mapping[str, np.ndarray] = field(default_factory=dict)
    origins: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if (self.images is None) == (self.files is None):
            raise DataError("data.dataset: samples need either images or files, and not both")
        count = len(self.images) if self.images is not None else len(self.files or ())
        if self.labels.shape != (count,):
            raise DataError(
                f"data.dataset: {count} images but labels of shape {list(self.labels.shape)}; "
                "each image needs one label"
            )
        if self.images is not None and (self.images.dtype != np.uint8 or self.images.ndim != 4):
            raise DataError(
                f"data.dataset: images must be uint8 [N, H, W, C], "
                f"got {self.images.dtype} {list(self.images.shape)}"
            )
        if count and (self.labels.min() < 0 or self.labels.max() >= len(self.class_names)):
            raise DataError(
                f"data.dataset: labels must be from 0 to {len(self.class_names) - 1}, one per class name, "
                f"got {self.labels.min()} to {self.labels.max()}"
            )

    def __len__(self) -> int:
        return len(self.labels)
