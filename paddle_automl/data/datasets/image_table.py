"""Tables (CSV, TSV) of image files with their targets."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field, Strict, model_validator
from pydantic_core import PydanticCustomError

from paddle_automl.core.errors import DataError
from paddle_automl.core.paths import located, readable
from paddle_automl.core.schema import Sequence
from paddle_automl.data.datasets._layout import split_of
from paddle_automl.data.datasets.base import DATASETS, Dataset, DatasetConfig
from paddle_automl.data.listing import Listed, listed_file, raise_all, targets_of
from paddle_automl.data.samples import SPLITS, Samples
from paddle_automl.data.tables import TextTable, read_table
from paddle_automl.tasks.base import RawTargets

_TRUTH = {"1": 1, "0": 0, "true": 1, "false": 0, "yes": 1, "no": 0, "1.0": 1, "0.0": 0}


@DATASETS.register("image_table")
class ImageTable(Dataset):
    """A CSV or TSV table with a row per image: a column of paths, and named columns of targets.

    The first row names the columns. `labels` with one column is a class per image; with several columns, or with a
    separator, any number of labels per image; `targets` are columns of numbers. data.group may name a column.
    """

    class Config(DatasetConfig):
        """Paths of the table and the images, and the meaning of the columns."""

        path_options: ClassVar[tuple[str, ...]] = ("file", "root")

        file: str
        """The table."""

        root: str | None = None
        """Folder that the paths in the table start from; null takes the folder of the table."""

        path: str = "path"
        """Column with the path of each image."""

        labels: str | Annotated[tuple[str, ...], Strict(False), Field(min_length=2)] | None = None
        """Column with the class of each image; or a list of columns with 0 or 1, one per label."""

        separator: str | None = Field(default=None, min_length=1)
        """Text between the labels, where `labels` is one column that lists them, such as `;`; an image may have any
        number of labels, or none."""

        targets: Sequence[str] | None = Field(default=None, min_length=1)
        """Columns with the numbers to predict."""

        split: str | None = None
        """Column that names the split of each row: train, val or test (or words like them)."""

        @model_validator(mode="after")
        def _one_kind(self) -> ImageTable.Config:
            if (self.labels is None) == (self.targets is None):
                raise PydanticCustomError(
                    "stated", "needs either labels (a column, or a list of columns) or targets (columns of numbers)"
                )
            if self.separator is not None and not isinstance(self.labels, str):
                raise PydanticCustomError("stated", "separator: needs labels to be the name of one column")
            return self

    def __init__(self, config: Config) -> None:
        self.config = config

    def load(self) -> Samples:
        """Return the images in the order of the rows."""
        config = self.config
        file = located(config.file)
        table = read_table(file, "data.dataset.file")
        root = located(config.root) if config.root is not None else file.parent
        if not os.path.isdir(root):
            raise DataError(f"data.dataset.root: the folder '{readable(root)}' does not exist")
        sources = _paths(table, root, config.path)
        splits = _splits(table, config.split)
        train = splits.get("train", np.arange(len(table)))
        targets = _targets(table, config, set(train.tolist()))
        _check_twice(table, sources, targets)
        taken = {config.path, config.split, *([config.labels] if isinstance(config.labels, str) else ())}
        return Samples(
            targets,
            sources=sources,
            splits=splits,
            origins=tuple(table.origin(row) for row in range(len(table))),
            columns={name: texts for name, texts in table.columns.items() if name not in taken},
        )


def _paths(table: TextTable, root: Path, column: str) -> tuple[Path, ...]:
    names = table.column(column, "data.dataset.path")
    raise_all(
        [f"{table.origin(row)}: the column '{column}' is empty" for row, name in enumerate(names) if not name]
    )
    return tuple(listed_file(name, root) for name in names)


def _splits(table: TextTable, column: str | None) -> dict[str, np.ndarray]:
    """Return the rows of each split that the table names."""
    if column is None:
        return {}
    found = [split_of(text) for text in table.column(column, "data.dataset.split")]
    texts = table.columns[column]
    raise_all(
        [
            f"{table.origin(row)}: the column '{column}' must be train, val or test, got '{texts[row]}'"
            for row, split in enumerate(found)
            if split is None
        ]
    )
    rows = np.array(found)
    if "train" not in found:
        raise DataError(f"data.dataset.split: no row of the table '{table.name}' is for training in '{column}'")
    return {split: np.flatnonzero(rows == split).astype(np.int64) for split in SPLITS if split in found}


def _targets(table: TextTable, config: ImageTable.Config, train: set[int]) -> RawTargets:
    if config.targets is not None:
        return _numbers(table, config.targets)
    assert config.labels is not None
    if not isinstance(config.labels, str):
        return _flags(table, config.labels)
    texts = table.column(config.labels, "data.dataset.labels")
    if config.separator is None:
        form, labels = "single", [tuple([text]) for text in texts]
        raise_all(
            [
                f"{table.origin(row)}: the column '{config.labels}' is empty; every image needs a class"
                for row, text in enumerate(texts)
                if not text
            ]
        )
    else:
        form = "several"
        labels = [tuple(part.strip() for part in text.split(config.separator) if part.strip()) for text in texts]
    # Names are taken from the training rows, so these come first here; afterwards the order is restored.
    order = sorted(range(len(table)), key=lambda row: (row not in train, row))
    items = [Listed(labels[row], table.origin(row)) for row in order]
    found = targets_of(items, form, training=len(train), names=None, source=f"the training rows of '{table.name}'")
    return found.take(np.argsort(np.array(order, dtype=np.int64), kind="stable"))


def _flags(table: TextTable, names: tuple[str, ...]) -> RawTargets:
    columns = [table.column(name, "data.dataset.labels") for name in names]
    mistakes = [
        f"{table.origin(row)}: the column '{name}' must be 0 or 1, got '{text}'"
        for name, texts in zip(names, columns, strict=True)
        for row, text in enumerate(texts)
        if text.lower() not in _TRUTH
    ]
    raise_all(mistakes)
    values = [[_TRUTH[text.lower()] for text in texts] for texts in columns]
    return RawTargets("labels", np.array(values, dtype=np.uint8).reshape(len(names), -1).T.copy(), names)


def _numbers(table: TextTable, names: tuple[str, ...]) -> RawTargets:
    columns = [table.column(name, "data.dataset.targets") for name in names]
    values = np.empty((len(table), len(names)), dtype=np.float64)
    mistakes = []
    for position, (name, texts) in enumerate(zip(names, columns, strict=True)):
        for row, text in enumerate(texts):
            values[row, position] = number = _number(text)
            if not math.isfinite(number):
                mistakes.append(
                    f"{table.origin(row)}: the column '{name}' must be a finite number, got "
                    f"{'an empty cell' if not text else repr(text)}"
                )
    raise_all(mistakes)
    return RawTargets("numbers", values, names)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _check_twice(table: TextTable, sources: Sequence[Path], targets: RawTargets) -> None:
    """Raise DataError if two rows give one image different targets."""
    first: dict[Path, int] = {}
    mistakes = []
    for row, source in enumerate(sources):
        # The same file, however its path is written.
        other = first.setdefault(Path(os.path.abspath(source)), row)
        if not np.array_equal(targets.values[row], targets.values[other]):
            mistakes.append(
                f"{table.origin(row)}: '{readable(source)}' has another target in {table.origin(other)}; "
                "an image has one true target: correct or remove one of the rows"
            )
    raise_all(mistakes)
