"""The loss as a metric."""

from __future__ import annotations

from paddle_automl.tasks.metrics.base import METRICS, Metric, Predictions


@METRICS.register("loss")
class Loss(Metric):
    """Standard loss of the task on the split, whatever loss the training minimizes.

    Cross entropy in nats for classes and labels, squared error in units of the standard deviation for numbers.
    """

    goal = "minimize"

    def value(self, facts: Predictions) -> float:
        """Return the task's loss."""
        return facts.task.loss(facts.outputs, facts.codes)
