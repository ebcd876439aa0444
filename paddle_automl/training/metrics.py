"""Metrics of single-label classification, in NumPy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def confusion_matrix(predicted: Array, labels: Array, num_classes: int) -> Array:
    """Return counts [num_classes, num_classes]: row = true class, column = predicted class."""
    index = labels.astype(np.int64) * num_classes + predicted.astype(np.int64)
    return np.bincount(index, minlength=num_classes**2).reshape(num_classes, num_classes)


@dataclass(frozen=True)
class PerClass:
    """Scores of each class, arrays [K]; 0 where a class was never predicted or does not occur."""

    precision: Array
    recall: Array
    f1: Array
    support: Array


def per_class(confusion: Array) -> PerClass:
    """Return precision, recall, F1 and number of true members of each class from counts [K, K]."""
    hits = np.diag(confusion).astype(np.float64)
    predicted, support = confusion.sum(axis=0), confusion.sum(axis=1)
    return PerClass(
        precision=_ratio(hits, predicted),
        recall=_ratio(hits, support),
        f1=_ratio(2 * hits, predicted + support),
        support=support,
    )


def accuracy(confusion: Array) -> float:
    """Return the share of right predictions; 0 for no predictions."""
    return float(np.diag(confusion).sum() / max(int(confusion.sum()), 1))


def macro_f1(confusion: Array) -> float:
    """Return the mean F1 of the classes that occur or were predicted, each class counted once."""
    present = (confusion.sum(axis=0) + confusion.sum(axis=1)) > 0
    return float(per_class(confusion).f1[present].mean()) if present.any() else 0.0


def cross_entropy(probabilities: Array, labels: Array) -> float:
    """Return the mean of -log(probability of the true class) in nats; probabilities [N, K], labels [N]."""
    chosen = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    # The smallest float32 above zero stands for a probability that rounded to zero; NaN stays NaN.
    return float(-np.log(np.maximum(chosen, np.finfo(np.float32).tiny)).mean())


@dataclass(frozen=True)
class Mistake:
    """One image that was classified wrongly."""

    index: int
    label: int
    predicted: int
    probability: float
    """Of the predicted class."""
    label_probability: float
    """Of the true class."""


def worst_mistakes(probabilities: Array, labels: Array, count: int) -> list[Mistake]:
    """Return the `count` wrong predictions in which the true class got the least probability, worst first."""
    predicted = probabilities.argmax(axis=1)
    wrong = np.flatnonzero(predicted != labels)
    order = wrong[np.argsort(probabilities[wrong, labels[wrong]], kind="stable")][:count]
    return [
        Mistake(
            index=int(i),
            label=int(labels[i]),
            predicted=int(predicted[i]),
            probability=float(probabilities[i, predicted[i]]),
            label_probability=float(probabilities[i, labels[i]]),
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


def _ratio(part: Array, whole: Array) -> Array:
    return np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0)
