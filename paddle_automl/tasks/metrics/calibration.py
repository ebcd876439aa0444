"""Calibration: how well predicted probabilities match observed frequencies."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from paddle_automl.core.schema import PluginConfig
from paddle_automl.tasks.metrics._named import NAMED, named
from paddle_automl.tasks.metrics.base import METRICS, Metric, Predictions


def calibration_error(confidence: np.ndarray, right: np.ndarray, bins: int) -> float:
    """Return the mean distance between confidence and accuracy over bins of confidence, weighted by their items.

    Guo et al. 2017, "On Calibration of Modern Neural Networks", eq. (3). `confidence` [N] from 0 to 1, `right`
    bool [N]; bin m of M holds confidences in ((m - 1)/M, m/M].
    """
    if not len(confidence):
        return 0.0
    if not np.isfinite(confidence).all():
        return float("nan")
    place = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    gap = np.bincount(place, weights=right - confidence.astype(np.float64), minlength=bins)
    return float(np.abs(gap).sum() / len(confidence))


@METRICS.register("calibration_error")
class CalibrationError(Metric):
    """Expected calibration error: how far predicted probabilities are from the fractions of right answers.

    With one class per item it looks at the likeliest class (Guo et al. 2017), with several labels at every label.
    """

    goal = "minimize"
    tasks = NAMED
    also = ("ece", "expected_calibration_error", "calibration")

    class Config(PluginConfig):
        """Options of the calibration error."""

        bins: int = Field(15, ge=1)
        """Number of bins of equal width from 0 to 1."""

    def value(self, facts: Predictions) -> float:
        """Return the error; 0 without items."""
        true = named(facts.task).applying(facts.codes)
        if facts.task.final.activation == "softmax":
            best = facts.outputs.argmax(axis=1)
            rows = np.arange(len(best))
            return calibration_error(facts.outputs[rows, best], true[rows, best], self.config.bins)
        return calibration_error(facts.outputs.ravel(), true.ravel(), self.config.bins)
