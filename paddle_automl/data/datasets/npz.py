"""NumPy archives with arrays of images and labels."""

from __future__ import annotations

import os
from pathlib import Path
from typing import ClassVar

from paddle_automl.core.errors import DataError
from paddle_automl.core.paths import located, readable
from paddle_automl.core.schema import Sequence
from paddle_automl.data.array_checks import samples_of_arrays
from paddle_automl.data.array_files import NpzArchive, open_npz
from paddle_automl.data.datasets.base import DATASETS, Dataset, DatasetConfig
from paddle_automl.data.samples import Samples

_SUFFIXES = {"train": ("train",), "validation": ("validation", "val"), "test": ("test",)}


@DATASETS.register("npz")
class Npz(Dataset):
    """A NumPy archive with the arrays x_train and y_train, and the same for validation (val) and test.

    Images are uint8 ``[N, H, W]`` or ``[N, H, W, C]``. The kind of targets follows from y: integers or texts
    ``[N]`` are a class each, 0 and 1 ``[N, K]`` are labels, floats ``[N]`` or ``[N, D]`` are numbers. An array
    class_names names the classes 0, 1, ..., the labels or the columns. Pickled objects are refused.
    """

    class Config(DatasetConfig):
        """Path of the archive, and the names of the classes."""

        path_options: ClassVar[tuple[str, ...]] = ("path",)

        path: str
        """The .npz file."""

        class_names: Sequence[str] | None = None
        """Names of the classes, labels or columns; null takes the array class_names, or the classes themselves."""

    def __init__(self, config: Config) -> None:
        self.config = config

    def sources(self) -> tuple[Path, ...]:
        """Return the archive."""
        return (located(self.config.path),)

    def load(self) -> Samples:
        """Return the images of all splits, ``[N, H, W, C]``."""
        path = located(self.config.path)
        name = readable(path)
        if not os.path.isfile(path):
            raise DataError(f"data.dataset.path: the file '{name}' does not exist")
        with open_npz(path) as archive:
            return self._samples(archive, name)

    def _samples(self, archive: NpzArchive, name: str) -> Samples:
        keys, array, listing = archive.keys, archive.array, archive.listing
        found: dict[str, tuple[str, str]] = {}
        for split, suffixes in _SUFFIXES.items():
            for suffix in suffixes:
                pair = (f"x_{suffix}", f"y_{suffix}")
                missing = [key for key in pair if key not in keys]
                if len(missing) == 1:
                    raise DataError(f"{name}: has no array '{missing[0]}'; it holds {listing}")
                if not missing:
                    found[split] = pair
        if "train" not in found:
            raise DataError(f"{name}: has no arrays 'x_train' and 'y_train'; it holds {listing}")
        class_names = self.config.class_names
        if class_names is None and "class_names" in keys:
            class_names = tuple(str(item) for item in array("class_names").ravel())
        return samples_of_arrays(
            {split: (array(images), array(labels)) for split, (images, labels) in found.items()},
            {split: (f"{name}: {images}", f"{name}: {labels}") for split, (images, labels) in found.items()},
            class_names,
        )
