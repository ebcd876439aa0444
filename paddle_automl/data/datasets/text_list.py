"""Lists of texts, each with its class behind a tab, in the format of PaddleNLP and THUCNews."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple

import numpy as np

from paddle_automl.core.errors import DataError
from paddle_automl.core.paths import located, readable
from paddle_automl.data.class_names import check_distinct, composed
from paddle_automl.data.datasets.base import DATASETS, Dataset, DatasetConfig
from paddle_automl.data.listing import Listed, id_and_name, raise_all, read_label_file, targets_of
from paddle_automl.data.samples import SPLITS, Samples
from paddle_automl.data.text_files import as_items, text_of


class _Line(NamedTuple):
    text: str
    label: str
    origin: str


@DATASETS.register("text_list")
class TextList(Dataset):
    """Text files with a line ``text<TAB>class`` per text, as THUCNews and PaddleNLP write them.

    The class is what follows the last tab, or what stands before the first one; it may be several labels with
    commas between them. All lists share one map of labels.
    """

    input = "text"

    class Config(DatasetConfig):
        """Paths of the lists and the names of the classes."""

        path_options: ClassVar[tuple[str, ...]] = ("train", "validation", "test", "label_file")

        train: str
        """List of the training texts; a split without a list of its own is taken from it."""

        validation: str | None = None
        """List of the validation texts."""

        test: str | None = None
        """List of the test texts."""

        label_file: str | None = None
        """File with the names of the classes: a name per line, for classes that are numbers from 0; or a line
        ``id name`` per class. Without it, the classes are the labels of the training list, sorted."""

        order: Literal["text_label", "label_text"] = "text_label"
        """What comes first in a line."""

        labels: Literal["single", "several"] = "single"
        """Whether a text has one class, or several labels with commas between them (possibly none)."""

        encoding: str | None = None
        """Encoding of the files, such as gb18030; null finds it."""

    def __init__(self, config: Config) -> None:
        self.config = config

    def _files(self) -> dict[str, Path]:
        given = {name: getattr(self.config, name) for name in SPLITS}
        return {split: located(path) for split, path in given.items() if path is not None}

    def sources(self) -> tuple[Path, ...]:
        """Return the lists, and the file of names."""
        names = () if self.config.label_file is None else (located(self.config.label_file),)
        return (*self._files().values(), *names)

    def load(self) -> Samples:
        """Return the texts in the order of the lists: training, validation, test."""
        config = self.config
        lines = {split: self._read(path, split) for split, path in self._files().items()}
        everything = [line for split in SPLITS for line in lines.get(split, ())]
        several = config.labels == "several"
        listed = [Listed(_parts(line.label) if several else (line.label,), line.origin) for line in everything]
        known = {label for item in listed[: len(lines["train"])] for label in item.labels}
        names = None if config.label_file is None else _names(located(config.label_file), known)
        targets = targets_of(
            listed,
            config.labels,
            training=len(lines["train"]),
            names=names,
            source=readable(config.label_file) if config.label_file else "the training list",
        )
        ends = np.cumsum([0, *(len(lines.get(split, ())) for split in SPLITS)])
        ranges = {
            split: np.arange(start, end, dtype=np.int64)
            for split, start, end in zip(SPLITS, ends, ends[1:], strict=False)
            if split in lines
        }
        return Samples(
            targets,
            items=as_items([line.text for line in everything]),
            splits=ranges,
            origins=tuple(line.origin for line in everything),
        )

    def _read(self, path: Path, split: str) -> list[_Line]:
        option, name = f"data.dataset.{split}", readable(path)
        lines, mistakes = [], []
        first_text = self.config.order == "text_label"
        for number, line in enumerate(text_of(path, option, self.config.encoding).split("\n"), start=1):
            if not line.strip():
                continue
            one, tab, other = line.rpartition("\t") if first_text else line.partition("\t")
            text, label = (one, other) if first_text else (other, one)
            origin = f"{name}:{number}"
            if not tab or not (label.strip() or self.config.labels == "several"):
                form = "text<TAB>class" if first_text else "class<TAB>text"
                mistakes.append(f"{origin}: must be '{form}', got '{line.strip()}'")
                continue
            lines.append(_Line(text.strip(), composed(label.strip()), origin))
        if mistakes and not lines:
            raise DataError(
                f"{option}: '{name}' is no list of texts, with a tab between text and class in each line; for "
                f"tables with commas take the data set text_table\n  {mistakes[0][:300]}"
            )
        raise_all(mistakes)
        if not lines:
            raise DataError(f"{option}: the list '{name}' holds no texts")
        return lines


def _parts(label: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in label.split(",") if part.strip())


def _names(path: Path, known: set[str]) -> Mapping[str, str]:
    """Return the name of each label: lines ``id name``, or names whose numbers are those of the lines, from 0.

    A name of several words is no id and name where the `known` labels, those of the training list, are numbers of
    lines and not the first words.
    """
    if not os.path.isfile(path):
        raise DataError(f"data.dataset.label_file: the file '{readable(path)}' does not exist")
    lines = [composed(line.strip()) for line in text_of(path, "data.dataset.label_file", None).split("\n")]
    lines = [line for line in lines if line]
    if not lines:
        raise DataError(f"data.dataset.label_file: the file '{readable(path)}' is empty; write a class per line")
    several = any(len(line.replace(":", " ").replace("\t", " ").split()) > 1 for line in lines)
    if several and not _are_numbered(lines, known):
        return read_label_file(path)
    check_distinct(lines, readable(path))
    return {str(number): name for number, name in enumerate(lines)}


def _are_numbered(lines: Sequence[str], known: set[str]) -> bool:
    """Return whether the known labels are the numbers of these lines, and not ids at their beginning."""
    ids = {id_and_name(line)[0] for line in lines}
    numbers = {str(number) for number in range(len(lines))}
    return not known <= ids and known <= numbers and not all(map(str.isdecimal, ids))
