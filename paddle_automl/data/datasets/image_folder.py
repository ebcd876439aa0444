"""A folder of images with one subfolder per class."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

import numpy as np

from paddle_automl.core.errors import DataError
from paddle_automl.core.paths import located, readable
from paddle_automl.data.class_names import check_distinct, composed, in_order
from paddle_automl.data.datasets._layout import Layout, Top, Tree, class_trees, descended
from paddle_automl.data.datasets.base import DATASETS, Dataset, DatasetConfig
from paddle_automl.data.samples import SPLITS, Samples
from paddle_automl.inputs.image.files import SUFFIXES, counted, is_result
from paddle_automl.tasks.base import RawTargets

log = logging.getLogger(__name__)


@DATASETS.register("image_folder")
class ImageFolder(Dataset):
    """A folder with one subfolder of images per class; the subfolder's name is the class's name.

    When the subfolders are splits, such as ``train``, ``val`` and ``test``, each with class folders inside, they
    are used as splits; so are folders of splits inside each class. Images may lie deeper inside a class folder.
    Classes are in the order of their names, as numbers where all are whole numbers. Hidden files, files that are
    not images and outputs of this program are ignored.
    """

    class Config(DatasetConfig):
        """The folder and the meaning of its subfolders."""

        path_options: ClassVar[tuple[str, ...]] = ("root",)

        root: str
        """The folder."""

        layout: Layout = "auto"
        """What the subfolders are: classes, or splits with class folders inside; auto decides by their names and
        contents, and stops if both are possible."""

    def __init__(self, config: Config) -> None:
        self.config = config

    def load(self) -> Samples:
        """Return the image files, sorted by split, class name and path."""
        root = located(self.config.root)
        if not os.path.isdir(root):
            state = "is a file, not a folder" if os.path.isfile(root) else "does not exist"
            raise DataError(f"data.dataset.root: the folder '{readable(root)}' {state}")
        if is_result(root):
            raise DataError(
                f"data.dataset.root: '{readable(root)}' itself holds results of this program among the data; "
                "set output to another folder, and move the old results there"
            )
        top = descended(root, self.config.layout)
        splits = class_trees(top, self.config.layout)
        by_split = {split: _by_class(top, folders) for split, folders in splits.items()}
        _say_left_out(top)
        training = by_split.get("train", by_split.get("", {}))
        names = tuple(in_order(training))
        for split, classes in by_split.items():
            if strangers := [name for name in classes if name not in training]:
                raise DataError(
                    f"data.dataset.root: the classes {', '.join(strangers)} of the {split} split in "
                    f"'{readable(top.folder)}' have no folder in the training split; every class needs images for "
                    "training"
                )
        return _samples(by_split, names)


def _samples(by_split: dict[str, dict[str, list[Path]]], names: tuple[str, ...]) -> Samples:
    files: list[Path] = []
    classes: list[int] = []
    indices: dict[str, np.ndarray] = {}
    for split in ("", *SPLITS):
        start = len(files)
        for number, name in enumerate(names):
            images = by_split.get(split, {}).get(name, [])
            files += images
            classes += [number] * len(images)
        if split and split in by_split:
            indices[split] = np.arange(start, len(files), dtype=np.int64)
    return Samples(
        RawTargets("classes", np.asarray(classes, dtype=np.int64), names), sources=tuple(files), splits=indices
    )


def _by_class(top: Top, folders: Iterable[tuple[str, Tree]]) -> dict[str, list[Path]]:
    """Return the images of each class from folders that have the names of their classes."""
    by_name: dict[str, list[Path]] = {}
    for name, tree in folders:
        if not tree.images:
            others = f", but other files ({counted(tree.others)})" if tree.others else ""
            raise DataError(
                f"data.dataset.root: the class folder '{readable(tree.folder)}' holds no images ({SUFFIXES})"
                f"{others}; put images into it or remove it"
            )
        by_name.setdefault(name, []).extend(tree.images)
    check_distinct(by_name, top.where)
    return {composed(name): images for name, images in by_name.items()}


def _say_left_out(top: Top) -> None:
    for result in top.results:
        log.warning("data.dataset.root: '%s' is left out: it is an output of this program", readable(result))
    if top.loose:
        log.warning("%s: %d images that are in no class folder are left out", top.where, top.loose)
    others: Counter[str] = sum((tree.others for tree in top.children), Counter())
    if others:
        log.warning("%s: files whose names are not those of images are left out: %s", top.where, counted(others))
