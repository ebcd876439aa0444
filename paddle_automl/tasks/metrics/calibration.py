"""Calibration: how well predicted probabilities match observed frequencies."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from paddle_automl.core.schema import PluginConfig
from paddle_automl.tasks.calibration import calibration_error
from paddle_automl.tasks.metrics._named import NAMED, named
from paddle_automl.tasks.metrics.base import METRICS, Metric, Predictions


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
