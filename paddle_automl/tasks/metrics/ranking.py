"""How well probabilities rank items: areas under the ROC and the precision-recall curve."""

from __future__ import annotations

import numpy as np

from paddle_automl.core.errors import ConfigError
from paddle_automl.tasks.base import Task
from paddle_automl.tasks.metrics._named import NAMED, OneClass, check_name, named
from paddle_automl.tasks.metrics.base import METRICS, Metric, Predictions

CHANCE = 0.5
"""Area under the ROC curve of random guesses; also the value if no class has items in and outside of it."""


def roc_auc(scores: np.ndarray, true: np.ndarray) -> float:
    """Return how often an item with `true` has a higher score than one without; scores [N], true bool [N].

    The Mann-Whitney statistic: ties count half. `true` needs items of both kinds.
    """
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    positives = int(true.sum())
    above = ranks[true].sum() - positives * (positives + 1) / 2
    return float(above / (positives * (len(true) - positives)))


def average_precision(scores: np.ndarray, true: np.ndarray) -> float:
    """Return sum_n (R_n - R_n-1) P_n over the thresholds n from high to low; scores [N], true bool [N].

    `true` needs at least one item.
    """
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(true[order])
    # Items with one score pass the threshold together.
    last = np.append(np.diff(scores[order]) != 0, True)
    precision = hits[last] / (np.flatnonzero(last) + 1)
    recall = hits[last] / hits[-1]
    return float((np.diff(recall, prepend=0.0) * precision).sum())


@METRICS.register("roc_auc")
class RocAuc(Metric):
    """Area under the ROC curve: of `class` against the others; without it the mean over the classes that occur.

    With two classes both have the same, usual area (Fawcett 2006).
    """

    tasks = NAMED
    also = ("auc", "auroc", "roc")
    Config = OneClass

    def check(self, task: Task) -> None:
        """Refuse a class that the data do not have."""
        check_name(task, self.config.class_)

    def value(self, facts: Predictions) -> float:
        """Return the area; 0.5 if no class has items in and outside of it."""
        if not np.isfinite(facts.outputs).all():
            return float("nan")
        true = named(facts.task).applying(facts.codes)
        places = _places(facts.task, self.config.class_)
        usable = [k for k in places if 0 < true[:, k].sum() < len(true)]
        return float(np.mean([roc_auc(facts.outputs[:, k], true[:, k]) for k in usable])) if usable else CHANCE


@METRICS.register("average_precision")
class AveragePrecision(Metric):
    """Average precision of one class: the area under its precision-recall curve, in steps.

    With two classes `class` may be left out and means the second one.
    """

    tasks = NAMED
    also = ("ap", "pr_auc", "auprc")
    Config = OneClass

    def check(self, task: Task) -> None:
        """Refuse a class that the data do not have, and more than two classes without a choice."""
        check_name(task, self.config.class_)
        if self.config.class_ is None and len(task.names) != 2:
            raise ConfigError(
                "class: is required unless there are two classes, as in {metric: average_precision, class: "
                f"{task.names[0]}}}; the mean of all classes is mean_average_precision"
            )

    def value(self, facts: Predictions) -> float:
        """Return the average precision; 0 where the class does not occur."""
        (place,) = _places(facts.task, self.config.class_ or facts.task.names[-1])
        return _average(facts, [place])


@METRICS.register("mean_average_precision")
class MeanAveragePrecision(Metric):
    """Mean of the average precision over the classes or labels that occur."""

    tasks = NAMED
    also = ("map", "mean_ap", "macro_ap")

    def value(self, facts: Predictions) -> float:
        """Return the mean; 0 without items."""
        return _average(facts, range(len(facts.task.names)))


def _average(facts: Predictions, places: list[int] | range) -> float:
    if not np.isfinite(facts.outputs).all():
        return float("nan")
    true = named(facts.task).applying(facts.codes)
    usable = [k for k in places if true[:, k].any()]
    return float(np.mean([average_precision(facts.outputs[:, k], true[:, k]) for k in usable])) if usable else 0.0


def _places(task: Task, name: str | None) -> list[int]:
    return list(range(len(task.names))) if name is None else [task.names.index(name)]
