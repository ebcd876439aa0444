"""A folder of text files with one subfolder per class."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import ClassVar

import numpy as np

from paddle_automl.core.errors import DataError
from paddle_automl.core.parallel import in_threads
from paddle_automl.core.paths import located, readable
from paddle_automl.data.class_names import check_distinct, composed, in_order
from paddle_automl.data.datasets._layout import split_of
from paddle_automl.data.datasets.base import DATASETS, Dataset, DatasetConfig
from paddle_automl.data.samples import SPLITS, Samples
from paddle_automl.data.text_files import as_items
from paddle_automl.inputs.text.files import read_file
from paddle_automl.tasks.base import RawTargets

log = logging.getLogger(__name__)

SUFFIX = ".txt"


@DATASETS.register("text_folder")
class TextFolder(Dataset):
    """A folder with one subfolder of .txt files per class; a file is a text, the subfolder's name the class's name.

    Subfolders that are splits, such as ``train``, ``val`` and ``test``, with class folders inside, are used as
    splits. Files may lie deeper inside a class folder, and each may have its own encoding.
    """

    input = "text"

    class Config(DatasetConfig):
        """The folder."""

        path_options: ClassVar[tuple[str, ...]] = ("root",)

        root: str
        """The folder."""

    def __init__(self, config: Config) -> None:
        self.config = config

    def _found(self) -> dict[str, dict[str, list[Path]]]:
        """Return the files of each class in each split; without splits those of the split ""."""
        root = located(self.config.root)
        if not os.path.isdir(root):
            state = "is a file, not a folder" if os.path.isfile(root) else "does not exist"
            raise DataError(f"data.dataset.root: the folder '{readable(root)}' {state}")
        folders = _folders(root)
        splits = [split_of(folder.name) for folder in folders]
        if folders and all(splits) and len(set(splits)) == len(splits) and "train" in splits:
            return {str(split): _classes(folder) for split, folder in zip(splits, folders, strict=True)}
        return {"": _classes(root)}

    def sources(self) -> tuple[Path, ...]:
        """Return all files."""
        return tuple(file for classes in self._found().values() for files in classes.values() for file in files)

    def load(self) -> Samples:
        """Return the texts of each folder, sorted by split, class name and path."""
        found = self._found()
        training = found.get("train", found.get("", {}))
        if not training:
            raise DataError(
                f"data.dataset.root: '{self.config.root}' holds no folders with {SUFFIX} files; make one folder of "
                f"{SUFFIX} files per class in it"
            )
        names = in_order(set(training))
        check_distinct(names, "data.dataset.root")
        strangers = sorted({name for classes in found.values() for name in classes} - set(names))
        if strangers:
            raise DataError(
                f"data.dataset.root: the class '{strangers[0]}' has no folder in the training split; every class "
                "needs texts for training"
            )
        listed = [
            (split, names.index(name), file)
            for split in ("", *SPLITS)
            for name in names
            for file in found.get(split, {}).get(name, ())
        ]
        files = [file for _, _, file in listed]
        texts: list[str] = [""] * len(files)

        def read(row: int) -> None:
            texts[row] = read_file(files[row]).replace("\0", " ").strip()

        in_threads(read, range(len(files)))
        given = {split: np.flatnonzero([split == own for own, _, _ in listed]) for split in SPLITS}
        return Samples(
            RawTargets("classes", np.array([number for _, number, _ in listed], np.int64), tuple(names)),
            items=as_items(texts),
            splits={split: rows.astype(np.int64) for split, rows in given.items() if split in found},
            origins=tuple(map(readable, files)),
        )


def _folders(root: Path) -> list[Path]:
    return sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith((".", "__")))


def _classes(root: Path) -> dict[str, list[Path]]:
    """Return the text files of each class folder that has some."""
    classes: dict[str, list[Path]] = {}
    for folder in _folders(root):
        files = sorted(file for file in folder.rglob("*") if file.is_file() and not file.name.startswith("."))
        texts = [file for file in files if file.suffix.lower() == SUFFIX]
        if len(texts) < len(files):
            log.warning(
                "%s: %d files that are not %s are left out", readable(folder), len(files) - len(texts), SUFFIX
            )
        if texts:
            classes[composed(readable(folder.name))] = texts
    return classes
