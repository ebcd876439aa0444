"""Results of a task: the answer for one item, and the tables and mistakes of an evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

RECORDED = 6
"""Digits of numbers in records and JSON."""


def float_text(value: float, digits: int = 4) -> str:
    """Return a number as tables print it: with so many decimals, a small one with so many significant digits.

    Errors are in the unit of the targets, which may be far below 1.
    """
    return f"{value:.{digits}g}" if 0 < abs(value) < 10 ** (1 - digits) else f"{value:.{digits}f}"


def recorded(value: float) -> float:
    """Return a number as records and JSON hold it: with six decimals, a small one with six significant digits."""
    return float(f"{value:.{RECORDED}g}") if abs(value) < 0.1 else round(float(value), RECORDED)


Row = tuple[str | float | int | None, ...]
"""One row of a table."""


@dataclass(frozen=True)
class Answer:
    """The prediction for one item.

    `text` is the answer in words (a class, ``cat, dog``, ``3.42``); `values` are the outputs by name, in the order
    of `Task.names`; `score` is the confidence in `text`, or None if there is none. `ranked` lists names and values,
    likeliest first, if an order makes sense.
    """

    text: str
    values: dict[str, float]
    score: float | None = None
    ranked: tuple[tuple[str, float], ...] = ()
    labels: tuple[str, ...] = ()
    """Names that apply: one class, or any number of labels; empty for numbers."""
    interval: dict[str, tuple[float, float]] = field(default_factory=dict)
    """Lower and upper bound by name, if the task predicts intervals."""


@dataclass(frozen=True)
class Table:
    """One table of an evaluation: a title, the columns' names, and rows of texts and numbers.

    Integers are counts, floats are printed by `float_text`, None is an empty cell (a dot).
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Mistake:
    """One wrong prediction: position in the split, true and predicted answer, and the error (larger is worse)."""

    index: int
    truth: str
    answer: str
    badness: float
    detail: Mapping[str, float] = field(default_factory=dict)
    """Values to print with it, by name, such as the probability of the true class."""

    def as_dict(self, source: str | None) -> dict[str, Any]:
        """Return it in JSON-like form; `source` is the name of the item's file, None for a data set of arrays."""
        figures = {name: recorded(value) for name, value in self.detail.items()}
        return {"index": self.index, "file": source, "label": self.truth, "predicted": self.answer, **figures}


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation shows besides the metrics; `data` holds the same for programs, JSON-like, by name."""

    tables: tuple[Table, ...]
    data: Mapping[str, Any]
    points: Mapping[str, np.ndarray] = field(default_factory=dict)
    """Arrays to draw, such as true and predicted values of a regression (``residuals``: ``[N, 2]``)."""
