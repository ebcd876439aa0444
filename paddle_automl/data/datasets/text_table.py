"""Tables (CSV, TSV, JSON lines) of texts with their targets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field, Strict, model_validator
from pydantic_core import PydanticCustomError

from paddle_automl.core.errors import DataError
from paddle_automl.core.paths import located
from paddle_automl.core.schema import Sequence
from paddle_automl.data.datasets._columns import splits_in, targets_in
from paddle_automl.data.datasets.base import DATASETS, Dataset, DatasetConfig
from paddle_automl.data.samples import SPLITS, Samples
from paddle_automl.data.tables import TextTable
from paddle_automl.data.text_files import as_items, table_in


@DATASETS.register("text_table")
class TextTableData(Dataset):
    """A CSV, TSV or JSON-lines file with a row per text: columns of texts, and named columns of targets.

    The first row names the columns (in JSON lines the keys do). `label` with one column is a class per text; with
    several columns, or with a separator, any number of labels per text; `targets` are columns of numbers. A column
    may be named by data.group.
    """

    input = "text"

    class Config(DatasetConfig):
        """Paths of the tables, and the meaning of the columns."""

        path_options: ClassVar[tuple[str, ...]] = ("file", "validation", "test")
        labels_option: ClassVar[str] = "label"

        file: str
        """The table: .csv (also as Excel writes it), .tsv, or .jsonl."""

        validation: str | None = None
        """Table of the same form with the validation texts; null draws them from `file`."""

        test: str | None = None
        """Table of the same form with the test texts; null draws them from `file`."""

        text: str | Annotated[tuple[str, ...], Strict(False), Field(min_length=1)]
        """Column with the texts; or a list of columns, such as a title and a body, which are joined."""

        joined_by: str = " | "
        """What stands between texts of several columns."""

        label: str | Annotated[tuple[str, ...], Strict(False), Field(min_length=2)] | None = None
        """Column with the class of each text; or a list of columns with 0 or 1, one per label."""

        separator: str | None = Field(default=None, min_length=1)
        """Text between the labels, where `label` is one column that lists them, such as `;`; a text may have any
        number of labels, or none."""

        targets: Sequence[str] | None = Field(default=None, min_length=1)
        """Columns with the numbers to predict."""

        split: str | None = None
        """Column that names the split of each row: train, val or test (or words like them)."""

        encoding: str | None = None
        """Encoding of the files, such as gb18030; null finds it."""

        @model_validator(mode="after")
        def _one_kind(self) -> TextTableData.Config:
            if self.label is not None and self.targets is not None:
                raise PydanticCustomError(
                    "stated", "label and targets are both given; for numbers add -o data.dataset.label=null"
                )
            if self.label is None and self.targets is None:
                raise PydanticCustomError(
                    "stated", "needs either label (a column, or a list of columns) or targets (columns of numbers)"
                )
            if self.separator is not None and not isinstance(self.label, str):
                raise PydanticCustomError("stated", "separator: needs label to be the name of one column")
            if self.split is not None and (self.validation or self.test):
                raise PydanticCustomError("stated", "split: a column cannot be given together with files of splits")
            return self

        @property
        def labels(self) -> str | tuple[str, ...] | None:
            """The columns of labels, as other tables call them."""
            return self.label

    def __init__(self, config: Config) -> None:
        self.config = config

    def _files(self) -> dict[str, Path]:
        config = self.config
        given = {"train": config.file, "validation": config.validation, "test": config.test}
        return {split: located(path) for split, path in given.items() if path is not None}

    def sources(self) -> tuple[Path, ...]:
        """Return the tables."""
        return tuple(self._files().values())

    def load(self) -> Samples:
        """Return the texts in the order of the rows: training, validation, test."""
        config = self.config
        key = {"train": "file", "validation": "validation", "test": "test"}
        names = (config.text,) if isinstance(config.text, str) else config.text
        tables = {
            split: table_in(path, f"data.dataset.{key[split]}", config.encoding, kept=names)
            for split, path in self._files().items()
        }
        table = _joined(list(tables.values()), _needed(config))
        splits = splits_in(table, config.split) if len(tables) == 1 else _ranges(tables)
        train = splits.get("train", np.arange(len(table)))
        texts = _texts(table, names, config.joined_by)
        targets = targets_in(table, config, set(train.tolist()), "text")
        taken = {*names, config.split, *([config.label] if isinstance(config.label, str) else ())}
        return Samples(
            targets,
            items=as_items(texts),
            splits=splits,
            origins=tuple(table.origin(row) for row in range(len(table))),
            columns={name: cells for name, cells in table.columns.items() if name not in taken},
        )


class _Joined(TextTable):
    """The rows of several tables; each row keeps its place. Cells of a column that a table lacks are empty."""

    def __init__(self, tables: list[TextTable]) -> None:
        names = dict.fromkeys(name for table in tables for name in table.columns)
        found = {
            name: tuple(cell for table in tables for cell in table.columns.get(name, ("",) * len(table)))
            for name in names
        }
        super().__init__(tables[0].name, found, tuple(line for table in tables for line in table.lines))
        object.__setattr__(self, "_names", tuple(table.name for table in tables for _ in table.lines))

    def origin(self, row: int) -> str:
        """Return the place of a row: ``table.csv:12``."""
        names: tuple[str, ...] = self._names  # type: ignore[attr-defined]
        return f"{names[row]}:{self.lines[row]}"


def _joined(tables: list[TextTable], needed: dict[str, str]) -> TextTable:
    if len(tables) == 1:
        return tables[0]
    for table in tables:
        for name, option in needed.items():
            table.column(name, option)
    return _Joined(tables)


def _needed(config: TextTableData.Config) -> dict[str, str]:
    """Return the columns that every table needs, and the option that names each."""
    found = {}
    for option in ("text", "label", "targets"):
        names = getattr(config, option)
        for name in (names,) if isinstance(names, str) else names or ():
            found[name] = f"data.dataset.{option}"
    return found


def _ranges(tables: dict[str, TextTable]) -> dict[str, np.ndarray]:
    ranges, start = {}, 0
    for split in SPLITS:
        if split in tables:
            ranges[split] = np.arange(start, start + len(tables[split]), dtype=np.int64)
            start += len(tables[split])
    return ranges


def _texts(table: TextTable, names: tuple[str, ...], mark: str) -> list[str]:
    columns = [table.column(name, "data.dataset.text") for name in names]
    for name, cells in zip(names, columns, strict=True):
        if len(cells) and all(_is_number(cell) for cell in cells if cell) and any(cells):
            others = ", ".join(other for other in table.columns if other != name)
            raise DataError(
                f"data.dataset.text: the column '{name}' of '{table.name}' holds numbers alone, for example "
                f"'{next(cell for cell in cells if cell)}', which are no texts; other columns: {others or 'none'}"
            )
    if len(columns) == 1:
        return list(columns[0])
    return [mark.join(cell for cell in cells if cell) for cells in zip(*columns, strict=True)]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
