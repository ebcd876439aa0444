"""Scores of classes and labels, in NumPy: confusion matrix, hits per class, F1, cross entropy; and their tasks.

`NamedTask` is the base of tasks whose outputs are one probability per class or label.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np

from paddle_automl.core.errors import DataError
from paddle_automl.tasks.base import Task, check_readable

Array = np.ndarray[Any, Any]


def confusion_matrix(predicted: Array, labels: Array, num_classes: int) -> Array:
    """Return counts [num_classes, num_classes]: row = true class, column = predicted class."""
    index = labels.astype(np.int64) * num_classes + predicted.astype(np.int64)
    return np.bincount(index, minlength=num_classes**2).reshape(num_classes, num_classes)


@dataclass(frozen=True)
class Counts:
    """How often each class was found, predicted and true: integers [K]."""

    hits: Array
    """Items of the class that were predicted as this class."""
    predicted: Array
    support: Array
    """Items of the class."""


@dataclass(frozen=True)
class PerClass:
    """Scores of each class, arrays [K]; 0 if a class was never predicted or does not occur."""

    precision: Array
    recall: Array
    f1: Array
    support: Array


def counts_between(predicted: Array, labels: Array, num_classes: int) -> Counts:
    """Return the counts per class of predicted and true classes, both int64 [N]."""
    right = labels[predicted == labels]
    return Counts(*(np.bincount(classes, minlength=num_classes) for classes in (right, predicted, labels)))


def per_class(counts: Counts) -> PerClass:
    """Return precision, recall, F1 and number of true members of each class."""
    hits = counts.hits.astype(np.float64)
    return PerClass(
        precision=ratio(hits, counts.predicted),
        recall=ratio(hits, counts.support),
        f1=ratio(2 * hits, counts.predicted + counts.support),
        support=counts.support,
    )


def f_beta(counts: Counts, beta: float) -> Array:
    """Return F-beta per class [K]: recall counts `beta` times as much as precision (van Rijsbergen 1979)."""
    square = beta**2
    return ratio((1 + square) * counts.hits, counts.predicted + square * counts.support)


def mean_of_present(values: Array, counts: Counts) -> float:
    """Return the mean over the classes that occur or were predicted, each counted once; 0 if there are none."""
    present = (counts.predicted + counts.support) > 0
    return float(values[present].mean()) if present.any() else 0.0


def accuracy(confusion: Array) -> float:
    """Return the fraction of right predictions; 0 for no predictions."""
    return float(np.diag(confusion).sum() / max(int(confusion.sum()), 1))


def macro_f1(counts: Counts) -> float:
    """Return the mean F1 of the classes that occur or were predicted, each class counted once."""
    return mean_of_present(per_class(counts).f1, counts)


def cross_entropy(probabilities: Array, labels: Array) -> float:
    """Return the mean of -log(probability of the true class) in nats; probabilities [N, K], labels [N]."""
    chosen = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    # A probability that was rounded to zero counts as the smallest positive float32; NaN stays NaN.
    return float(-np.log(np.maximum(chosen, np.finfo(np.float32).tiny)).mean())


def binary_cross_entropy(probabilities: Array, labels: Array) -> Array:
    """Return -log(probability of the true value) in nats, float64 [N, K]; probabilities and 0/1 labels [N, K]."""
    chosen = probabilities.astype(np.float64)
    # In float32 a probability nearer to 1 than half the precision equals 1.
    rest = np.maximum(1 - chosen, np.finfo(np.float32).eps / 2)
    chosen = np.maximum(chosen, np.finfo(np.float32).tiny)
    return -np.log(np.where(labels > 0, chosen, rest))


def ratio(part: Array, whole: Array) -> Array:
    """Return part / whole, float64; 0 where `whole` is 0."""
    return np.divide(part, whole, out=np.zeros(np.shape(part)), where=whole > 0)


class NamedTask(Task):
    """A task that chooses among named classes or labels; output k is the probability of name k."""

    @property
    def names(self) -> tuple[str, ...]:
        """The classes or labels."""
        names: tuple[str, ...] = self.fitted.names
        return names

    @abstractmethod
    def decided(self, outputs: Array) -> Array:
        """Return the names in the answers for these outputs [N, K], as bool [N, K]."""

    def applying(self, codes: Array) -> Array:
        """Return the true names of items with these codes, as bool [N, K]."""
        applies: Array = self.dense(codes) > 0
        return applies

    def counts(self, outputs: Array, codes: Array) -> Counts:
        """Return how often each name was found, predicted and true."""
        decided, true = self.decided(outputs), self.applying(codes)
        return Counts((decided & true).sum(axis=0), decided.sum(axis=0), true.sum(axis=0))

    def positions(self, given: tuple[str, ...]) -> Array:
        """Return the index in this task's names of each name that the data give, int64.

        Raises DataError for an unknown name.
        """
        unknown = [name for name in given if name not in self.names]
        if unknown:
            raise DataError(
                f"data: has the classes {', '.join(given)}; the model knows {', '.join(self.names)}. "
                f"Unknown to it: {', '.join(unknown)}"
            )
        return np.array([self.names.index(name) for name in given], dtype=np.int64)


def check_names(task: type[Task], raw: Any, least: int) -> None:
    """Raise ConfigError or DataError unless `task` can read these targets and they have at least `least` names."""
    check_readable(task, raw)
    if len(raw.names) < least:
        only = f" ('{raw.names[0]}')" if raw.names else ""
        what = "label" if raw.kind == "labels" else "class"
        plural = what if least == 1 else "labels" if what == "label" else "classes"
        raise DataError(
            f"data.dataset: classification needs at least {least} {plural}, found {len(raw.names)}{only}; "
            f"give items of another {what}"
        )
