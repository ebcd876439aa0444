"""Lists of image files with labels, as PaddleClas has them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np

from paddle_automl.core.errors import DataError, did_you_mean
from paddle_automl.core.paths import located, read_lines, readable
from paddle_automl.data.datasets.base import DATASETS, Dataset, DatasetConfig
from paddle_automl.data.samples import SPLITS, Samples
from paddle_automl.tasks.base import RawTargets


class _Entry(NamedTuple):
    file: Path
    label: str
    origin: str


@DATASETS.register("image_list")
class ImageList(Dataset):
    """Text files with a line ``path label`` per image, as PaddleClas has them.

    The label is what follows the last tab of a line, or the last space where there is no tab, so paths may
    hold spaces. One map of labels serves all lists. Lists may be UTF-8 or GBK.
    """

    class Config(DatasetConfig):
        """Where the lists, the images and the names of the classes are."""

        path_options: ClassVar[tuple[str, ...]] = ("train", "validation", "test", "root", "label_file")

        train: str
        """List of the images for training; the other parts are split off it where they have no list."""

        validation: str | None = None
        """List of the images for validation."""

        test: str | None = None
        """List of the images for the test."""

        root: str | None = None
        """Folder that the paths in the lists start from; null takes the folder of the training list."""

        label_file: str | None = None
        """File with a line ``id name`` per class; names may hold spaces. Without it, the classes are the
        labels of the training list, sorted."""

    def __init__(self, config: Config) -> None:
        self.config = config

    def load(self) -> Samples:
        """Return the images in the order of the lists: training, validation, test."""
        options = {"train": self.config.train, "validation": self.config.validation, "test": self.config.test}
        lists = {part: located(path) for part, path in options.items() if path is not None}
        root = located(self.config.root) if self.config.root is not None else lists["train"].parent
        if not root.is_dir():
            raise DataError(f"data.dataset.root: the folder '{readable(root)}' does not exist")
        entries = {part: _read_list(path, root, part) for part, path in lists.items()}
        if self.config.label_file is not None:
            names = _read_label_file(located(self.config.label_file))
            source = readable(self.config.label_file)
        else:
            names = {label: label for label in _in_order({entry.label for entry in entries["train"]})}
            source = "the training list"
        index = {label: position for position, label in enumerate(names)}
        everything = [entry for part in SPLITS for entry in entries.get(part, ())]
        _check_labels(everything, index, source)
        return Samples(
            RawTargets(
                "classes",
                np.array([index[entry.label] for entry in everything], dtype=np.int64),
                tuple(names.values()),
            ),
            sources=tuple(entry.file for entry in everything),
            splits=_ranges({part: len(entries[part]) for part in SPLITS if part in entries}),
            origins=tuple(entry.origin for entry in everything),
        )


def _read_list(path: Path, root: Path, part: str) -> list[_Entry]:
    if not path.is_file():
        raise DataError(f"data.dataset.{part}: the list '{readable(path)}' does not exist")
    entries: list[_Entry] = []
    mistakes: list[str] = []
    for number, line in enumerate(read_lines(path), start=1):
        text = line.strip()
        if not text:
            continue
        origin = f"{readable(path)}:{number}"
        name, separator, label = text.rpartition("\t" if "\t" in text else " ")
        if separator:
            entries.append(_Entry(located(name.strip(), root), label.strip(), origin))
        else:
            mistakes.append(f"{origin}: must be 'path label', got '{text}'")
    _raise_all(mistakes)
    if not entries:
        raise DataError(f"data.dataset.{part}: the list '{readable(path)}' holds no images")
    return entries


def _read_label_file(path: Path) -> dict[str, str]:
    """Return the name of each id, in the order of the ids."""
    if not path.is_file():
        raise DataError(f"data.dataset.label_file: the file '{readable(path)}' does not exist")
    names: dict[str, str] = {}
    mistakes: list[str] = []
    for number, line in enumerate(read_lines(path), start=1):
        text = line.strip()
        if not text:
            continue
        words = text.split(maxsplit=1)
        label, name = words[0], words[-1]
        if label in names:
            mistakes.append(f"{readable(path)}:{number}: the id '{label}' stands twice")
        elif name in names.values():
            mistakes.append(f"{readable(path)}:{number}: the name '{name}' stands twice")
        names[label] = name
    _raise_all(mistakes)
    return {label: names[label] for label in _in_order(set(names))}


def _check_labels(entries: Sequence[_Entry], index: dict[str, int], source: str) -> None:
    mistakes = []
    for entry in entries:
        if entry.label not in index:
            listing = ", ".join(list(index)[:10]) + (", ..." if len(index) > 10 else "")
            hint = did_you_mean(entry.label, index)
            mistakes.append(f"{entry.origin}: the label '{entry.label}' is not in {source}{hint}; valid: {listing}")
    _raise_all(mistakes)


def _raise_all(mistakes: list[str]) -> None:
    if not mistakes:
        return
    more = f"\n  and {len(mistakes) - 10} more lines" if len(mistakes) > 10 else ""
    raise DataError("\n  ".join(mistakes[:10]) + more)


def _in_order(labels: set[str]) -> list[str]:
    """Return labels sorted: as numbers if all are numbers, otherwise as text."""
    if all(label.isdecimal() for label in labels):
        return sorted(labels, key=lambda label: (int(label), label))
    return sorted(labels)


def _ranges(sizes: dict[str, int]) -> dict[str, np.ndarray]:
    ranges: dict[str, np.ndarray] = {}
    start = 0
    for part, size in sizes.items():
        ranges[part] = np.arange(start, start + size, dtype=np.int64)
        start += size
    return ranges
