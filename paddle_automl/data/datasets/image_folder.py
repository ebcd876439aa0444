"""A folder of images with one subfolder per class."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np

from paddle_automl.core.errors import DataError
from paddle_automl.core.paths import located, readable
from paddle_automl.data.datasets.base import DATASETS, Dataset, DatasetConfig
from paddle_automl.data.samples import Samples
from paddle_automl.inputs.image.files import IMAGE_SUFFIXES, find_images, subfolders
from paddle_automl.tasks.base import RawTargets

_PART_FOLDERS = {
    "train": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
}


@DATASETS.register("image_folder")
class ImageFolder(Dataset):
    """A folder with one subfolder of images per class; the subfolder's name is the class's name.

    When the subfolders are ``train`` and any of ``validation`` (``val``, ``valid``) and ``test``, each with
    class folders inside, they are taken as the parts. Hidden files and files that are no images are ignored.
    """

    class Config(DatasetConfig):
        """Where the folder is."""

        path_options: ClassVar[tuple[str, ...]] = ("root",)

        root: str
        """The folder."""

    def __init__(self, config: Config) -> None:
        self.config = config

    def load(self) -> Samples:
        """Return the image files, sorted by part, class name and path."""
        root = located(self.config.root)
        if not root.is_dir():
            state = "is a file, not a folder" if root.is_file() else "does not exist"
            raise DataError(f"data.dataset.root: the folder '{readable(root)}' {state}")
        folders = subfolders(root)
        if _are_parts(folders):
            return _load_parts(_named_parts(root, folders))
        names, files, labels = _load_classes(root, folders)
        return Samples(RawTargets("classes", np.asarray(labels, dtype=np.int64), names), sources=tuple(files))


def _are_parts(folders: list[Path]) -> bool:
    names = {folder.name.lower() for folder in folders}
    if "train" not in names or not names <= set(_PART_FOLDERS):
        return False
    return all(subfolders(folder) for folder in folders)


def _named_parts(root: Path, folders: list[Path]) -> dict[str, Path]:
    parts: dict[str, Path] = {}
    for folder in folders:
        part = _PART_FOLDERS[folder.name.lower()]
        if part in parts:
            raise DataError(
                f"data.dataset.root: '{readable(root)}' holds both '{parts[part].name}' and '{folder.name}'; "
                f"keep one folder for the {part} part"
            )
        parts[part] = folder
    return {part: parts[part] for part in ("train", "validation", "test") if part in parts}


def _load_parts(parts: dict[str, Path]) -> Samples:
    class_names: tuple[str, ...] = ()
    files: list[Path] = []
    labels: list[int] = []
    indices: dict[str, np.ndarray] = {}
    for part, folder in parts.items():
        names, part_files, part_labels = _load_classes(folder, subfolders(folder))
        if part == "train":
            class_names = names
        elif strangers := [name for name in names if name not in class_names]:
            raise DataError(
                f"data.dataset.root: the classes {', '.join(strangers)} of '{readable(folder)}' "
                f"have no folder in '{readable(parts['train'])}'; every class needs images for training"
            )
        indices[part] = np.arange(len(files), len(files) + len(part_files), dtype=np.int64)
        files += part_files
        labels += [class_names.index(names[label]) for label in part_labels]
    return Samples(
        RawTargets("classes", np.asarray(labels, dtype=np.int64), class_names), sources=tuple(files), splits=indices
    )


def _load_classes(root: Path, folders: list[Path]) -> tuple[tuple[str, ...], list[Path], list[int]]:
    """Return the class names, sorted, and each image file with the index of its class."""
    if not folders:
        loose = len(find_images(root))
        found = f"{loose} images but no folders" if loose else "no folders with images"
        raise DataError(
            f"data.dataset.root: '{readable(root)}' holds {found}; make one folder of images per class in it"
        )
    by_name: dict[str, list[Path]] = {}
    for folder in folders:
        images = find_images(folder)
        if not images:
            raise DataError(
                f"data.dataset.root: the class folder '{readable(folder)}' holds no images "
                f"({' '.join(sorted(IMAGE_SUFFIXES))}); put images into it or remove it"
            )
        by_name.setdefault(readable(folder.name), []).extend(images)
    names = tuple(sorted(by_name))
    files = [file for name in names for file in by_name[name]]
    labels = [index for index, name in enumerate(names) for _ in by_name[name]]
    return names, files, labels
