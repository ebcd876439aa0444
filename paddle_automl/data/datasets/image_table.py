"""Tables (CSV, TSV) of image files with their targets."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field, Strict, model_validator
from pydantic_core import PydanticCustomError

from paddle_automl.core.errors import DataError
from paddle_automl.core.paths import located, readable
from paddle_automl.core.schema import Sequence
from paddle_automl.data.datasets._columns import splits_in, targets_in
from paddle_automl.data.datasets.base import DATASETS, Dataset, DatasetConfig
from paddle_automl.data.listing import listed_file, raise_all
from paddle_automl.data.samples import Samples
from paddle_automl.data.tables import TextTable, read_table
from paddle_automl.tasks.base import RawTargets


@DATASETS.register("image_table")
class ImageTable(Dataset):
    """A CSV or TSV table with a row per image: a column of paths, and named columns of targets.

    The first row names the columns. `labels` with one column is a class per image; with several columns, or with a
    separator, any number of labels per image; `targets` are columns of numbers. data.group may name a column.
    """

    class Config(DatasetConfig):
        """Paths of the table and the images, and the meaning of the columns."""

        path_options: ClassVar[tuple[str, ...]] = ("file", "root")
        labels_option: ClassVar[str] = "labels"

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
            if self.labels is not None and self.targets is not None:
                raise PydanticCustomError(
                    "stated", "labels and targets are both given; for numbers add -o data.dataset.labels=null"
                )
            if self.labels is None and self.targets is None:
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
        splits = splits_in(table, config.split)
        train = splits.get("train", np.arange(len(table)))
        targets = targets_in(table, config, set(train.tolist()), "image")
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
