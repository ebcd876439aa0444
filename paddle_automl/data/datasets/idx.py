"""Files in the idx format of MNIST and Fashion-MNIST."""

from __future__ import annotations

import os
from pathlib import Path
from typing import ClassVar

from paddle_automl.core.errors import DataError
from paddle_automl.core.paths import located, readable
from paddle_automl.core.schema import Sequence
from paddle_automl.data.array_checks import samples_of_arrays
from paddle_automl.data.array_files import read_idx
from paddle_automl.data.datasets.base import DATASETS, Dataset, DatasetConfig
from paddle_automl.data.samples import Samples


@DATASETS.register("idx")
class Idx(Dataset):
    """MNIST, Fashion-MNIST and others in the idx format, with or without gzip.

    The format is that of http://yann.lecun.com/exdb/mnist: two zero bytes, the type (8: uint8), the number of
    dimensions, each dimension as a big-endian 32-bit number, the values.
    """

    class Config(DatasetConfig):
        """Paths of the files, and the names of the classes."""

        path_options: ClassVar[tuple[str, ...]] = ("root",)

        root: str = "."
        """Folder of the files."""

        train_images: str = "train-images-idx3-ubyte"
        """Images for training; a file with the ending .gz is found as well."""

        train_labels: str = "train-labels-idx1-ubyte"
        """Labels for training."""

        test_images: str | None = "t10k-images-idx3-ubyte"
        """Images for the test; null, together with test_labels: null, takes a test split from the training
        files."""

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
        """Return the images of both splits, ``[N, H, W, 1]``."""
        config, files = self.config, self._files()
        return samples_of_arrays(
            {split: (read_idx(images), read_idx(labels)) for split, (images, labels) in files.items()},
            {split: (readable(images), readable(labels)) for split, (images, labels) in files.items()},
            config.class_names,
        )

    def _files(self) -> dict[str, tuple[Path, Path]]:
        """Return the files of images and labels of each split."""
        config = self.config
        if (config.test_images is None) != (config.test_labels is None):
            raise DataError("data.dataset: test_images and test_labels need each other; set both or none")
        named = {"train": (config.train_images, config.train_labels)}
        if config.test_images is not None and config.test_labels is not None:
            named["test"] = (config.test_images, config.test_labels)
        root = located(config.root)
        return {
            split: (_find(root, images, f"{split}_images"), _find(root, labels, f"{split}_labels"))
            for split, (images, labels) in named.items()
        }


def _find(root: Path, name: str, option: str) -> Path:
    for candidate in (name, f"{name}.gz"):
        path = located(candidate, root)
        if os.path.isfile(path):
            return path
    raise DataError(
        f"data.dataset.{option}: neither '{readable(root / name)}' nor the same with .gz exists; "
        f"set data.dataset.root and, for other names, {option}"
    )
