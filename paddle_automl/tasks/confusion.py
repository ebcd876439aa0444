"""Tables of an evaluation with one class per item: scores per class, and which classes are confused."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from paddle_automl.tasks.base import Row, Table
from paddle_automl.tasks.classification import PerClass, confusion_matrix

WHOLE = 30
"""Largest number of classes for which all classes and the whole matrix are printed."""
SHOWN = 20
"""Rows of the tables that are printed instead for more classes."""

LARGEST = 1000
"""Largest number of classes for which data for programs have the whole matrix."""

COLUMNS = ("class", "precision", "recall", "F1", "support")


class Confusions(NamedTuple):
    """Pairs of a true and another predicted class that occur, by class numbers, with their items: int64 ``[M]``."""

    true: np.ndarray
    predicted: np.ndarray
    items: np.ndarray


def confusions(predicted: np.ndarray, codes: np.ndarray, classes: int) -> Confusions:
    """Return the confusions among predicted and true classes, int64 ``[N]``, in the order of the matrix."""
    wrong = predicted != codes
    places, items = np.unique(codes[wrong].astype(np.int64) * classes + predicted[wrong], return_counts=True)
    return Confusions(places // classes, places % classes, items)


def confusion_data(names: Sequence[str], predicted: np.ndarray, codes: np.ndarray) -> dict[str, Any]:
    """Return the confusion matrix, JSON-like; of very many classes the confusions that occur."""
    if len(names) <= LARGEST:
        return {"confusion_matrix": confusion_matrix(predicted, codes, len(names)).tolist()}
    found = confusions(predicted, codes, len(names))
    return {
        "confusions": [
            {"true": names[true], "predicted": names[other], "items": items}
            for true, other, items in zip(*(values.tolist() for values in found), strict=True)
        ]
    }


def confusion_tables(
    names: Sequence[str], figures: PerClass, predicted: np.ndarray, codes: np.ndarray
) -> tuple[Table, ...]:
    """Return the scores of all classes and their confusion matrix; with many classes only the worst of both."""
    rows: list[Row] = [
        (name, *(float(values[i]) for values in (figures.precision, figures.recall, figures.f1)), int(support))
        for i, (name, support) in enumerate(zip(names, figures.support, strict=True))
    ]
    if len(names) <= WHOLE:
        matrix = confusion_matrix(predicted, codes, len(names))
        counts = tuple((name, *(int(n) or None for n in row)) for name, row in zip(names, matrix, strict=True))
        matrix_table = Table("confusion matrix", ("true \\ predicted", *names), counts)
        return Table("per class", COLUMNS, tuple(rows)), matrix_table
    worst = np.argsort(figures.f1, kind="stable")[:SHOWN]
    title = f"the {len(worst)} worst of {len(names)} classes, by F1"
    per_class = Table(title, COLUMNS, tuple(rows[i] for i in worst))
    return per_class, most_confused(names, confusions(predicted, codes, len(names)), figures.support)


def most_confused(names: Sequence[str], found: Confusions, support: np.ndarray, count: int = SHOWN) -> Table:
    """Return the most frequent confusions: true class, predicted class, items, fraction of the true class.

    `support` are the items of each class, ``[K]``.
    """
    order = np.argsort(-found.items, kind="stable")[:count]
    rows = tuple(
        (names[true], names[predicted], items, items / int(support[true]))
        for true, predicted, items in zip(*(values[order].tolist() for values in found), strict=True)
    )
    return Table("most frequent confusions", ("true", "predicted", "items", "fraction of the class"), rows)
