"""Precision, recall, and their means."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
from pydantic import Field

from paddle_automl.tasks.base import Task
from paddle_automl.tasks.classification import Counts, f_beta, macro_f1, mean_of_present, per_class
from paddle_automl.tasks.metrics._named import NAMED, OneClass, check_name, counts_of
from paddle_automl.tasks.metrics.base import METRICS, Metric, Predictions


@METRICS.register("macro_f1")
class MacroF1(Metric):
    """Mean F1 of the classes or labels that occur or were predicted, each counted once."""

    tasks = NAMED
    also = ("f1", "f1_score", "f1_macro")

    def value(self, facts: Predictions) -> float:
        """Return the mean; 0 without items."""
        return macro_f1(counts_of(facts))


@METRICS.register("micro_f1")
class MicroF1(Metric):
    """F1 of all decisions taken together; with one class per item it is the accuracy."""

    tasks = NAMED
    also = ("f1_micro",)

    def value(self, facts: Predictions) -> float:
        """Return 2 hits / (predicted + true); 0 where there is neither."""
        counts = counts_of(facts)
        whole = int(counts.predicted.sum() + counts.support.sum())
        return float(2 * counts.hits.sum() / whole) if whole else 0.0


class _OfOneClass(Metric):
    """A metric of one class, or its mean over those that occur or were predicted."""

    tasks = NAMED
    Config = OneClass

    def check(self, task: Task) -> None:
        """Refuse a class that the data do not have."""
        check_name(task, self.config.class_)

    @abstractmethod
    def figures(self, counts: Counts) -> np.ndarray:
        """Return the value of each class, ``[K]``."""

    def value(self, facts: Predictions) -> float:
        """Return the value of the chosen class, or the mean; 0 where it is not defined."""
        counts = counts_of(facts)
        values = self.figures(counts)
        if self.config.class_ is None:
            return mean_of_present(values, counts)
        return float(values[facts.task.names.index(self.config.class_)])


@METRICS.register("recall")
class Recall(_OfOneClass):
    """Fraction of the items of a class that are predicted as it; without `class` the mean over the classes."""

    also = ("sensitivity", "tpr")

    def figures(self, counts: Counts) -> np.ndarray:
        """Return the recall of each class; 0 where it does not occur."""
        return per_class(counts).recall


@METRICS.register("precision")
class Precision(_OfOneClass):
    """Fraction of the items predicted as a class that belong to it; without `class` the mean over the classes."""

    def figures(self, counts: Counts) -> np.ndarray:
        """Return the precision of each class; 0 where it was never predicted."""
        return per_class(counts).precision


@METRICS.register("f_beta")
class FBeta(_OfOneClass):
    """F-beta: recall counts beta times as much as precision; without `class` the mean over the classes."""

    also = ("f2", "fbeta", "f05")

    class Config(OneClass):
        """Options of F-beta."""

        beta: float = Field(1.0, gt=0)
        """Above 1 recall counts more, below 1 precision."""

    def figures(self, counts: Counts) -> np.ndarray:
        """Return F-beta of each class; 0 where it neither occurs nor was predicted."""
        return f_beta(counts, self.config.beta)
