"""Targets and splits in the columns of a table."""

from __future__ import annotations

import math
import re
from typing import ClassVar, Protocol

import numpy as np

from paddle_automl.core.errors import DataError
from paddle_automl.data.datasets._layout import split_of
from paddle_automl.data.listing import Listed, raise_all, targets_of
from paddle_automl.data.samples import SPLITS
from paddle_automl.data.tables import TextTable
from paddle_automl.tasks.base import RawTargets

_TRUTH = {"1": 1, "0": 0, "true": 1, "false": 0, "yes": 1, "no": 0, "1.0": 1, "0.0": 0}

_ONE_COMMA = re.compile(r"[+-]?\d+,\d+")
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+(\.\d+)?")


class Columns(Protocol):
    """Options that name the columns of targets."""

    labels_option: ClassVar[str]
    """Name of the option `labels`."""

    @property
    def labels(self) -> str | tuple[str, ...] | None:
        """Column with the class of each row; or columns with 0 or 1, one per label."""

    @property
    def separator(self) -> str | None:
        """Text between the labels in one column."""

    @property
    def targets(self) -> tuple[str, ...] | None:
        """Columns of numbers."""


def splits_in(table: TextTable, column: str | None) -> dict[str, np.ndarray]:
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


def targets_in(table: TextTable, config: Columns, train: set[int], word: str) -> RawTargets:
    if config.targets is not None:
        return _numbers(table, config.targets)
    assert config.labels is not None
    if not isinstance(config.labels, str):
        return _flags(table, config.labels, f"data.dataset.{config.labels_option}")
    texts = table.column(config.labels, f"data.dataset.{config.labels_option}")
    if config.separator is None:
        form, labels = "single", [tuple([text]) for text in texts]
        raise_all(
            [
                f"{table.origin(row)}: the column '{config.labels}' is empty; every {word} needs a class"
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


def _flags(table: TextTable, names: tuple[str, ...], option: str) -> RawTargets:
    columns = [table.column(name, option) for name in names]
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
    commas: dict[str, list[str]] = {}
    for position, (name, texts) in enumerate(zip(names, columns, strict=True)):
        for row, text in enumerate(texts):
            values[row, position] = number = _number(text)
            if not math.isfinite(number) and (_ONE_COMMA.fullmatch(text) or _THOUSANDS.fullmatch(text)):
                commas.setdefault(name, []).append(text)
            elif not math.isfinite(number):
                mistakes.append(
                    f"{table.origin(row)}: the column '{name}' must be a finite number, got "
                    f"{'an empty cell' if not text else repr(text)}"
                )
    # One sentence for each column instead of one for each row.
    raise_all([*(f"{table.name}: {_of_commas(name, cells)}" for name, cells in commas.items()), *mistakes])
    return RawTargets("numbers", values, names)


def _of_commas(name: str, cells: list[str]) -> str:
    """Return what is wrong with the cells of a column of numbers that have commas, and what to write instead."""
    rows = f"{len(cells)} row{'s' if len(cells) > 1 else ''} of the column '{name}' have"
    decimal = next((cell for cell in cells if not _THOUSANDS.fullmatch(cell)), None)
    several = next((cell for cell in cells if cell.count(",") > 1 or "." in cell), None)
    if decimal is None and several is None:
        point, plain = cells[0].replace(",", "."), cells[0].replace(",", "")
        return (
            f"{rows} a comma, such as {cells[0]!r}, which is not read; write {plain} if it stands between "
            f"thousands, or {point} if decimals follow it"
        )
    if decimal is None:
        assert several is not None
        plain = several.replace(",", "")
        return f"{rows} commas between thousands, such as {several!r}, which are not read; write {plain}"
    if several is None:
        point = decimal.replace(",", ".")
        return f"{rows} a decimal comma, such as {decimal!r}, which is not read; write {point}, with a point"
    return f"{rows} commas, such as {several!r} and {decimal!r}; write none, and a point before decimals"


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
