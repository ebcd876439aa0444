"""Errors of predicted numbers, in the user's unit; the mean over the columns if there are several."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np

from paddle_automl.core.errors import ConfigError
from paddle_automl.core.schema import PluginConfig
from paddle_automl.tasks.base import Task
from paddle_automl.tasks.metrics._named import Name, check_name
from paddle_automl.tasks.metrics.base import METRICS, Metric, Predictions
from paddle_automl.tasks.numbers import absolute_errors, r_squared, squared_errors
from paddle_automl.tasks.regression import Regression

NUMBERS = frozenset({"regression"})


class _OfColumns(Metric):
    """A metric of one column, or the mean over all."""

    tasks = NUMBERS

    class Config(PluginConfig):
        """Options of a metric of numbers."""

        column: Name | None = None
        """Column to measure; left out: the mean over all columns."""

    def check(self, task: Task) -> None:
        """Refuse a column that the data do not have."""
        check_name(task, self.config.column, "column")

    @abstractmethod
    def figures(self, task: Regression, outputs: np.ndarray, codes: np.ndarray) -> np.ndarray:
        """Return the value of each column, ``[D]``; there is at least one item."""

    def value(self, facts: Predictions) -> float:
        """Return the value of the chosen column, or the mean; NaN without items."""
        assert isinstance(facts.task, Regression)
        if not len(facts.codes):
            return float("nan")
        figures = self.figures(facts.task, facts.outputs, facts.codes)
        if self.config.column is None:
            return float(figures.mean())
        return float(figures[facts.task.names.index(self.config.column)])


@METRICS.register("mae")
class MeanAbsoluteError(_OfColumns):
    """Mean absolute error, in the unit of the targets."""

    goal = "minimize"
    also = ("mean_absolute_error", "l1")

    def figures(self, task: Regression, outputs: np.ndarray, codes: np.ndarray) -> np.ndarray:
        """Return the mean absolute error of each column."""
        return absolute_errors(task.points(outputs), codes)


@METRICS.register("rmse")
class RootMeanSquaredError(_OfColumns):
    """Root of the mean squared error, in the unit of the targets."""

    goal = "minimize"
    also = ("mse", "l2", "root_mean_squared_error", "mean_squared_error")

    def figures(self, task: Regression, outputs: np.ndarray, codes: np.ndarray) -> np.ndarray:
        """Return the root of the mean squared error of each column."""
        return np.sqrt(squared_errors(task.points(outputs), codes))


@METRICS.register("r2")
class Determination(_OfColumns):
    """Coefficient of determination R2: 1 is perfect, 0 as good as always the split's mean, below 0 worse."""

    also = ("r_squared", "r2_score", "coefficient_of_determination")

    def figures(self, task: Regression, outputs: np.ndarray, codes: np.ndarray) -> np.ndarray:
        """Return R2 of each column."""
        return r_squared(task.points(outputs), codes)


class _OfIntervals(_OfColumns):
    """A metric of the predicted intervals."""

    def check(self, task: Task) -> None:
        """Refuse a task without an interval."""
        super().check(task)
        if isinstance(task, Regression) and task.fitted.interval is None:
            raise ConfigError("needs an interval; set one, such as task.interval: 0.9")


@METRICS.register("coverage")
class Coverage(_OfIntervals):
    """Fraction of the items whose true number lies in the predicted interval; its target is `task.interval`.

    The widest interval has the largest, so it can only be a further objective with a limit; see `interval_score`.
    """

    instead = "interval_score"
    also = ("interval_coverage", "picp")

    def figures(self, task: Regression, outputs: np.ndarray, codes: np.ndarray) -> np.ndarray:
        """Return the fraction of each column."""
        return np.asarray(task.covered(outputs, codes).mean(axis=0))


@METRICS.register("interval_score")
class IntervalScore(_OfIntervals):
    """Width of the predicted interval, plus the distance of a true number outside of it times 2 / (1 - interval).

    `task.interval` is the fraction; the unit is that of the targets. It is least for the true quantiles: intervals
    are to be narrow and to cover as many items as they should. Gneiting and Raftery 2007, "Strictly Proper Scoring
    Rules, Prediction, and Estimation", eq. (43).
    """

    goal = "minimize"
    also = ("winkler_score", "mean_interval_score")

    def figures(self, task: Regression, outputs: np.ndarray, codes: np.ndarray) -> np.ndarray:
        """Return the mean score of each column."""
        assert task.fitted.interval is not None
        low, high = task.bounds(outputs)
        outside = np.maximum(low - codes, 0) + np.maximum(codes - high, 0)
        return np.asarray((high - low + 2 / (1 - task.fitted.interval) * outside).mean(axis=0))
