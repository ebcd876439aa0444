"""The goal of a training."""

from __future__ import annotations

from dataclasses import dataclass

from paddle_automl.core.errors import ConfigError
from paddle_automl.tasks.base import Task
from paddle_automl.tasks.metrics.spelling import epoch_metrics, epoch_part, goal_of


@dataclass(frozen=True)
class Goal:
    """The metric that chooses the best epoch, and all metrics that are measured after each epoch.

    Names are canonical keys of `tasks.metrics`. ``loss`` is always among `metrics`: it shows divergence, and
    decides between epochs with equal values. Raises ConfigError if `metric` is not measured.
    """

    metric: str
    maximize: bool
    metrics: tuple[str, ...]

    def __post_init__(self) -> None:
        missing = [key for key in (self.metric, "loss") if key not in self.metrics]
        if missing:
            raise ConfigError(
                f"metric: '{missing[0]}' is not measured in each epoch; valid: {', '.join(self.metrics)}"
            )

    @classmethod
    def of(cls, task: Task, metric: str | None = None) -> Goal:
        """Return the goal of the best `metric` (a canonical key), by default of the task's main metric.

        In a weighted sum only the metrics that change with the epochs count. Raises ConfigError if there is none.
        """
        metric = task.metrics[0] if metric is None else epoch_part(metric)
        return cls(metric, goal_of(metric) == "maximize", epoch_metrics(task, [metric]))
