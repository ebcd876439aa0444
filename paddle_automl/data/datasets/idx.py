"""Files in the idx format of MNIST and Fashion-MNIST."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from typing import ClassVar

import numpy as np

from paddle_automl.core.errors import DataError
from paddle_automl.core.paths import located, readable
from paddle_automl.core.schema import Sequence
from paddle_automl.data.array_checks import samples_of_arrays
from paddle_automl.data.datasets.base import DATASETS, Dataset, DatasetConfig
from paddle_automl.data.samples import Samples

_UINT8 = 8


@DATASETS.register("idx")
class Idx(Dataset):
    """MNIST, Fashion-MNIST and others in the idx format, with or without gzip.

    The format is that of http://yann.lecun.com/exdb/mnist: two zero bytes, the type (8: uint8), the number of
    dimensions, each dimension as a big-endian 32-bit number, the values.
    """

    class Config(DatasetConfig):
        """Where the files are, and the names of the classes."""

        path_options: ClassVar[tuple[str, ...]] = ("root",)

        root: str = "."
        """Folder that the files' paths start from."""

        train_images: str = "train-images-idx3-ubyte"
        """Images for training; a file with the ending .gz is found as well."""

        train_labels: str = "train-labels-idx1-ubyte"
        """Labels for training."""

        test_images: str | None = "t10k-images-idx3-ubyte"
        """Images for the test; null, with test_labels null too, splits a test part off the training files."""

        test_labels: str | None = "t10k-labels-idx1-ubyte"
        """Labels for the test."""

        class_names: Sequence[str] | None = None
        """Names of the classes 0, 1, ...; null takes the numbers themselves."""

    def __init__(self, config: Config) -> None:
        self.config = config

    def sources(self) -> tuple[Path, ...]:
        """Return the files of images and labels."""
        return tuple(file for pair in self._files().values() for file in pair)

    def load(self) -> Samples:
        """Return the images of both parts, ``[N, H, W, 1]``."""
        config, files = self.config, self._files()
        return samples_of_arrays(
            {part: (read_idx(images), read_idx(labels)) for part, (images, labels) in files.items()},
            {part: (readable(images), readable(labels)) for part, (images, labels) in files.items()},
            config.class_names,
        )

    def _files(self) -> dict[str, tuple[Path, Path]]:
        """Return the files of images and labels of each part."""
        config = self.config
        if (config.test_images is None) != (config.test_labels is None):
            raise DataError("data.dataset: test_images and test_labels need each other; set both or none")
        named = {"train": (config.train_images, config.train_labels)}
        if config.test_images is not None and config.test_labels is not None:
            named["test"] = (config.test_images, config.test_labels)
        root = located(config.root)
        return {
            part: (_find(root, images, f"{part}_images"), _find(root, labels, f"{part}_labels"))
            for part, (images, labels) in named.items()
        }


def read_idx(path: Path) -> np.ndarray:
    """Return the uint8 array of an idx file, plain or gzipped; raises DataError for any other content."""
    try:
        raw = path.read_bytes()
        if raw[:2] == b"\x1f\x8b":
            raw = gzip.decompress(raw)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{readable(path)}: cannot read the file: {error}") from None
    if len(raw) < 4 or raw[:2] != b"\0\0" or raw[2] != _UINT8:
        raise DataError(f"{readable(path)}: is no idx file of uint8 values; it starts with {raw[:4].hex(' ')}")
    dimensions = raw[3]
    shape = tuple(int(size) for size in np.frombuffer(raw, ">u4", dimensions, 4)) if _holds(raw) else ()
    start = 4 + 4 * dimensions
    if not shape or len(raw) - start != int(np.prod(shape, dtype=np.int64)):
        raise DataError(
            f"{readable(path)}: is cut off or damaged: {len(raw)} bytes for an array of shape {list(shape)}"
        )
    return np.frombuffer(raw, np.uint8, offset=start).reshape(shape)


def _holds(raw: bytes) -> bool:
    return raw[3] > 0 and len(raw) >= 4 + 4 * raw[3]


def _find(root: Path, name: str, option: str) -> Path:
    for candidate in (name, f"{name}.gz"):
        path = located(candidate, root)
        if path.is_file():
            return path
    raise DataError(
        f"data.dataset.{option}: neither '{readable(root / name)}' nor the same with .gz exists; "
        f"set data.dataset.root and, for other names, {option}"
    )
