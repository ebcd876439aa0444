"""Metrics of single-label classification; they live in `tasks.classification`."""

from __future__ import annotations

from dataclasses import dataclass

from paddle_automl.tasks.classification import (
    Array,
    accuracy,
    confusion_matrix,
    counts_of,
    cross_entropy,
)
from paddle_automl.tasks.classification import PerClass as PerClass
from paddle_automl.tasks.classification import macro_f1 as _macro_f1
from paddle_automl.tasks.classification import per_class as _per_class

__all__ = ["accuracy", "confusion_matrix", "cross_entropy", "macro_f1", "per_class", "scores", "worst_mistakes"]


def per_class(confusion: Array) -> PerClass:
    """Return precision, recall, F1 and support of each class from counts [K, K]."""
    return _per_class(counts_of(confusion))


def macro_f1(confusion: Array) -> float:
    """Return the mean F1 of the classes that occur or were predicted."""
    return _macro_f1(counts_of(confusion))


@dataclass(frozen=True)
class Mistake:
    """One image that was classified wrongly."""

    index: int
    label: int
    predicted: int
    probability: float
    label_probability: float


def worst_mistakes(probabilities: Array, labels: Array, count: int) -> list[Mistake]:
    """Return the `count` wrong predictions in which the true class got the least probability, worst first."""
    import numpy as np

    predicted = probabilities.argmax(axis=1)
    wrong = np.flatnonzero(predicted != labels)
    order = wrong[np.argsort(probabilities[wrong, labels[wrong]], kind="stable")][:count]
    return [
        Mistake(
            int(i),
            int(labels[i]),
            int(predicted[i]),
            float(probabilities[i, predicted[i]]),
            float(probabilities[i, labels[i]]),
        )
        for i in order
    ]


def scores(probabilities: Array, labels: Array) -> dict[str, float]:
    """Return loss, accuracy and macro_f1 of probabilities [N, K] and labels [N]."""
    confusion = confusion_matrix(probabilities.argmax(axis=1), labels, probabilities.shape[1])
    return {
        "loss": cross_entropy(probabilities, labels),
        "accuracy": accuracy(confusion),
        "macro_f1": macro_f1(confusion),
    }
