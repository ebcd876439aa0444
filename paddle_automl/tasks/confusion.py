"""Tables of an evaluation with one class per item: scores per class, and which classes are confused."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from paddle_automl.tasks.base import Row, Table
from paddle_automl.tasks.classification import PerClass

WHOLE = 30
"""Largest number of classes for which all classes and the whole matrix are printed."""
SHOWN = 20
"""Rows of the tables that are printed instead for more classes."""

COLUMNS = ("class", "precision", "recall", "F1", "support")


def confusion_tables(names: Sequence[str], figures: PerClass, matrix: np.ndarray) -> tuple[Table, ...]:
    """Return the scores of all classes and their confusion matrix; with many classes only the worst of both."""
    rows: list[Row] = [
        (name, *(float(values[i]) for values in (figures.precision, figures.recall, figures.f1)), int(support))
        for i, (name, support) in enumerate(zip(names, figures.support, strict=True))
    ]
    if len(names) <= WHOLE:
        counts = tuple((name, *(int(n) or None for n in row)) for name, row in zip(names, matrix, strict=True))
        matrix_table = Table("confusion matrix", ("true \\ predicted", *names), counts)
        return Table("per class", COLUMNS, tuple(rows)), matrix_table
    worst = np.argsort(figures.f1, kind="stable")[:SHOWN]
    title = f"the {len(worst)} worst of {len(names)} classes, by F1"
    per_class = Table(title, COLUMNS, tuple(rows[i] for i in worst))
    return per_class, most_confused(names, matrix)


def most_confused(names: Sequence[str], matrix: np.ndarray, count: int = SHOWN) -> Table:
    """Return the most frequent confusions: true class, predicted class, items, fraction of the true class."""
    wrong = matrix.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:count]
    pairs = [(int(i), int(j)) for i, j in zip(*np.unravel_index(order, wrong.shape), strict=True) if wrong[i, j]]
    support = matrix.sum(axis=1)
    rows = tuple((names[i], names[j], int(wrong[i, j]), float(wrong[i, j] / support[i])) for i, j in pairs)
    return Table("most frequent confusions", ("true", "predicted", "items", "fraction of the class"), rows)
