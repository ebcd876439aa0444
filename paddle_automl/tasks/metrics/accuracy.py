"""How many answers are right."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from paddle_automl.core.errors import ConfigError
from paddle_automl.core.schema import PluginConfig
from paddle_automl.tasks.base import Task
from paddle_automl.tasks.classification import per_class
from paddle_automl.tasks.metrics._named import counts_of, named
from paddle_automl.tasks.metrics.base import METRICS, Metric, Predictions

ONE_CLASS = frozenset({"single_label"})
LABELS = frozenset({"multi_label"})


@METRICS.register("accuracy")
class Accuracy(Metric):
    """Fraction of items whose likeliest class is the true one."""

    tasks = ONE_CLASS
    also = ("acc", "top1", "top_1")

    def value(self, facts: Predictions) -> float:
        """Return the fraction; 0 without items."""
        counts = counts_of(facts)
        return float(counts.hits.sum() / max(int(counts.support.sum()), 1))


@METRICS.register("balanced_accuracy")
class BalancedAccuracy(Metric):
    """Mean recall of the classes that occur, each counted once (Brodersen et al. 2010)."""

    tasks = ONE_CLASS

    def value(self, facts: Predictions) -> float:
        """Return the mean recall; 0 without items."""
        counts = counts_of(facts)
        occurs = counts.support > 0
        return float(per_class(counts).recall[occurs].mean()) if occurs.any() else 0.0


@METRICS.register("top_k_accuracy")
class TopKAccuracy(Metric):
    """Fraction of items whose true class is among the k likeliest."""

    tasks = ONE_CLASS
    also = ("top5", "top_5", "top_k", "top5_accuracy", "top_5_accuracy")

    class Config(PluginConfig):
        """Options of the top-k accuracy."""

        k: int = Field(5, ge=1)
        """Number k of likeliest classes."""

    def check(self, task: Task) -> None:
        """Refuse a k for which every answer would be right."""
        if self.config.k >= task.outputs:
            raise ConfigError(f"k: must be below the number of classes, {task.outputs}, got {self.config.k}")

    def value(self, facts: Predictions) -> float:
        """Return the fraction; of classes with equal probabilities the first counts as likelier."""
        rows = np.arange(len(facts.codes))
        if not len(rows):
            return 0.0
        own = facts.outputs[rows, facts.codes][:, None]
        before = np.arange(facts.outputs.shape[1]) < facts.codes[:, None]
        rank = ((facts.outputs > own) | ((facts.outputs == own) & before)).sum(axis=1)
        # NaN is not an answer.
        return float((np.isfinite(own[:, 0]) & (rank < self.config.k)).mean())


@METRICS.register("subset_accuracy")
class SubsetAccuracy(Metric):
    """Fraction of items with all labels right."""

    tasks = LABELS
    also = ("exact_match",)

    def value(self, facts: Predictions) -> float:
        """Return the fraction; 0 without items."""
        right = _right(facts)
        return float(right.all(axis=1).mean()) if len(right) else 0.0


@METRICS.register("hamming_loss")
class HammingLoss(Metric):
    """Fraction of all labels of all items that are wrong."""

    goal = "minimize"
    tasks = LABELS
    also = ("hamming",)

    def value(self, facts: Predictions) -> float:
        """Return the fraction; 1 without items."""
        right = _right(facts)
        return float((~right).mean()) if len(right) else 1.0


@METRICS.register("cohen_kappa")
class CohenKappa(Metric):
    """Agreement of answers and truth beyond chance: 1 is perfect, 0 is chance (Cohen 1960)."""

    tasks = ONE_CLASS
    also = ("kappa", "cohens_kappa")

    def value(self, facts: Predictions) -> float:
        """Return kappa; 0 if only one class occurs in truth and answers, or without items."""
        counts = counts_of(facts)
        total = int(counts.support.sum())
        if not total:
            return 0.0
        chance = float(counts.predicted.astype(np.float64) @ counts.support) / total**2
        return float((counts.hits.sum() / total - chance) / (1 - chance)) if chance < 1 else 0.0


def _right(facts: Predictions) -> np.ndarray:
    task = named(facts.task)
    return np.asarray(task.decided(facts.outputs) == task.applying(facts.codes))
