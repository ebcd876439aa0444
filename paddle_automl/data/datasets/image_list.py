"""Lists of image files with labels, in the format of PaddleClas."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple

import numpy as np

from paddle_automl.core.errors import DataError
from paddle_automl.core.paths import located, read_lines, readable
from paddle_automl.data.class_names import composed
from paddle_automl.data.datasets.base import DATASETS, Dataset, DatasetConfig
from paddle_automl.data.listing import Listed, listed_file, raise_all, read_label_file, targets_of
from paddle_automl.data.samples import SPLITS, Samples
from paddle_automl.inputs.image.files import is_image_name

log = logging.getLogger(__name__)

Labels = Literal["auto", "single", "several", "flags"]


class _Line(NamedTuple):
    file: Path
    label: str
    origin: str


@DATASETS.register("image_list")
class ImageList(Dataset):
    """Text files with a line ``path label`` per image, the format of PaddleClas.

    The label is what follows the last tab of a line, or the last space where there is no tab, so paths may contain
    spaces; it may be several labels, ``path label1,label2``, or a 0 or 1 for each, ``path 0,1,0``. All lists share
    one map of labels. Lists may be UTF-8, UTF-16 or GBK, and paths may have backslashes.
    """

    class Config(DatasetConfig):
        """Paths of the lists, the images and the names of the classes."""

        path_options: ClassVar[tuple[str, ...]] = ("train", "validation", "test", "root", "label_file")

        train: str
        """List of the training images; a split without a list of its own is taken from it."""

        validation: str | None = None
        """List of the validation images."""

        test: str | None = None
        """List of the test images."""

        root: str | None = None
        """Folder that the paths in the lists start from; null takes the folder of the training list."""

        label_file: str | None = None
        """File with a line ``id name`` or ``id: name`` per class; names may contain spaces. Without it, the classes
        are the labels of the training list, sorted: as numbers where all are whole numbers."""

        labels: Labels = "auto"
        """What follows a path: single, one class; several, labels separated by commas (after a tab possibly none);
        flags, a 0 or 1 for each label. auto decides by the commas in the training list."""

    def __init__(self, config: Config) -> None:
        self.config = config

    def load(self) -> Samples:
        """Return the images in the order of the lists: training, validation, test."""
        options = {"train": self.config.train, "validation": self.config.validation, "test": self.config.test}
        lists = {split: located(path) for split, path in options.items() if path is not None}
        root = located(self.config.root) if self.config.root is not None else lists["train"].parent
        if not os.path.isdir(root):
            raise DataError(f"data.dataset.root: the folder '{readable(root)}' does not exist")
        seen: dict[Path, _Line] = {}
        lines = {split: _read_list(path, root, split, seen) for split, path in lists.items()}
        names = read_label_file(located(self.config.label_file)) if self.config.label_file is not None else None
        form = _form([line.label for line in lines["train"]], names, self.config.labels)
        _check_empty(lines, form)
        everything = [line for split in SPLITS for line in lines.get(split, ())]
        return Samples(
            targets_of(
                [Listed(_parts(line.label, form), line.origin) for line in everything],
                form,
                training=len(lines["train"]),
                names=names,
                source=readable(self.config.label_file) if self.config.label_file else "the training list",
            ),
            sources=tuple(line.file for line in everything),
            splits=_ranges({split: len(lines[split]) for split in SPLITS if split in lines}),
            origins=tuple(line.origin for line in everything),
        )


def _read_list(path: Path, root: Path, split: str, seen: dict[Path, _Line]) -> list[_Line]:
    """Return the lines of a list; `seen` maps each file to its first line in all lists so far, and is extended."""
    if not os.path.isfile(path):
        raise DataError(f"data.dataset.{split}: the list '{readable(path)}' does not exist")
    lines: list[_Line] = []
    mistakes: list[str] = []
    for number, text in enumerate(read_lines(path), start=1):
        if not text.strip():
            continue
        origin = f"{readable(path)}:{number}"
        name, label = _path_and_label(text, root)
        if label is None:
            hint = "; for tables with commas take the data set image_table" if "," in text else ""
            mistakes.append(f"{origin}: must be 'path label', got '{text.strip()}'{hint}")
            continue
        line = _Line(listed_file(name, root), composed(label), origin)
        # The same file, however its path is written.
        other = seen.setdefault(Path(os.path.abspath(line.file)), line)
        if not _same(other.label, line.label):
            mistakes.append(
                f"{origin}: '{name}' has the label '{line.label}', but '{other.label}' in {other.origin}; "
                "an image has one true label: correct or remove one of the lines"
            )
        lines.append(line)
    raise_all(mistakes)
    if not lines:
        raise DataError(f"data.dataset.{split}: the list '{readable(path)}' holds no images")
    first = lines[0]
    if (
        not os.path.exists(first.file)
        and is_image_name(first.label)
        and os.path.isfile(listed_file(first.label, root))
    ):
        raise DataError(f"{first.origin}: the path comes first in each line, then the label; swap them")
    return lines


def _path_and_label(text: str, root: Path) -> tuple[str, str | None]:
    """Return path and label of a line; the label is empty after a final tab, and None if there is none."""
    stripped = text.strip()
    if "\t" not in stripped and text.rstrip(" ").endswith("\t") and os.path.exists(listed_file(stripped, root)):
        return stripped, ""
    name, separator, label = stripped.rpartition("\t" if "\t" in stripped else " ")
    return (name.strip(), label.strip()) if separator else (stripped, None)


def _same(one: str, other: str) -> bool:
    """Return whether two labels, or two lists of labels in any order, are the same."""
    first, second = _parts(one, "several"), _parts(other, "several")
    return one == other or (sorted(first) == sorted(second) and not set(first) <= {"0", "1"})


def _form(labels: list[str], names: Mapping[str, str] | None, stated: Labels) -> Labels:
    """Return whether labels are single, several or flags: as configured, or by the commas in them."""
    if stated != "auto":
        return stated
    with_comma = [label for label in labels if "," in label]
    if not with_comma or (names is not None and all(label in names for label in with_comma)):
        return "single"
    parts = [_parts(label, "several") for label in labels]
    widths = {len(part) for part in parts}
    flags = len(widths) == 1 and all(set(part) <= {"0", "1"} for part in parts)
    # An image cannot have a label name twice, so these are flags; two different ones could be the names 0 and 1.
    if flags and (widths != {2} or any(len(set(part)) == 1 for part in parts)):
        return "flags"
    log.warning(
        "labels with commas, as '%s', are read as several labels per image; "
        "if the comma is part of a name, set data.dataset.labels: single",
        with_comma[0],
    )
    return "several"


def _parts(label: str, form: Labels) -> tuple[str, ...]:
    if form == "single":
        return (label,)
    return tuple(part.strip() for part in label.split(",") if part.strip() or form == "flags")


def _check_empty(lines: Mapping[str, list[_Line]], form: Labels) -> None:
    if form != "several":
        raise_all(
            [
                f"{line.origin}: must be 'path label', got no label"
                for split in lines.values()
                for line in split
                if not line.label
            ]
        )


def _ranges(sizes: dict[str, int]) -> dict[str, np.ndarray]:
    ranges: dict[str, np.ndarray] = {}
    start = 0
    for split, size in sizes.items():
        ranges[split] = np.arange(start, start + size, dtype=np.int64)
        start += size
    return ranges
