"""A folder of images with one subfolder per class."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np

from paddle_automl.core.errors import DataError
from paddle_automl.core.paths import readable
from paddle_automl.core.schema import Sequence
from paddle_automl.data.class_names import check_distinct, in_order
from paddle_automl.data.datasets._layout import BySplit, Layout, Reading, read_classes
from paddle_automl.data.datasets.base import DATASETS, Dataset, DatasetConfig
from paddle_automl.data.samples import SPLITS, Samples
from paddle_automl.inputs.image.files import IMAGES
from paddle_automl.tasks.base import RawTargets


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

        path_options: ClassVar[tuple[str, ...]] = ("root", "added")

        root: str
        """The folder."""

        layout: Layout = "auto"
        """What the subfolders are: classes, or splits with class folders inside; auto decides by their names and
        contents, and stops if both are possible."""

        added: Sequence[str] = ()
        """Further folders of the same kind, such as photos that came later: their images join those of the same
        class, and their other classes are further ones."""

    def __init__(self, config: Config) -> None:
        self.config = config

    def load(self) -> Samples:
        """Return the image files of each folder, sorted by split, class name and path."""
        reading = Reading(IMAGES, self.config.layout)
        given = [(self.config.root, "root"), *((path, "added") for path in self.config.added)]
        found = [read_classes(path, option, reading) for path, option in given]
        training = {name for _, by_split in found for name in by_split.get("train", by_split.get("", {}))}
        if len(found) > 1:
            check_distinct(sorted(training), "data.dataset")
        for top, by_split in found:
            for split, classes in by_split.items():
                if strangers := [name for name in classes if name not in training]:
                    raise DataError(
                        f"{top.key}: the classes {', '.join(strangers)} of the {split} split in "
                        f"'{readable(top.folder)}' have no folder in the training split; every class needs images "
                        "for training"
                    )
        names = tuple(in_order(training))
        return _joined([_samples(by_split, names) for _, by_split in found])


def _joined(parts: list[Samples]) -> Samples:
    """Return the items of several folders as one data set, in this order.

    Where one of them defines splits, all images of the others are for training: validation is drawn from these.
    """
    if len(parts) == 1:
        return parts[0]
    defined = any(part.splits for part in parts)
    indices: dict[str, list[np.ndarray]] = {}
    start = 0
    for part in parts:
        given = part.splits or ({"train": np.arange(len(part), dtype=np.int64)} if defined else {})
        for split, rows in given.items():
            indices.setdefault(split, []).append(rows + start)
        start += len(part)
    names = parts[0].targets.names
    return Samples(
        RawTargets("classes", np.concatenate([part.targets.values for part in parts]), names),
        sources=tuple(source for part in parts for source in part.sources or ()),
        splits={split: np.concatenate(rows) for split, rows in indices.items()},
    )


def _samples(by_split: BySplit, names: tuple[str, ...]) -> Samples:
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
