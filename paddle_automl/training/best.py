"""The epoch of a training whose weights are kept."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from paddle import Tensor

from paddle_automl.training.goal import Goal


@dataclass(frozen=True)
class Keep:
    """Which epoch's weights a training keeps, and which random numbers it uses."""

    which: Literal["best", "last"] = "best"
    """The epoch with the best metric, or the last one."""
    purpose: str = ""
    """Name that gives trainings with the same seed different random numbers."""


@dataclass
class Best:
    """The best epoch so far, its weights, and its outputs on the validation split."""

    goal: Goal
    keep: Keep
    epoch: int = 0
    improved: int = 0
    """Last epoch with a better metric than all earlier ones; `epoch` may be later, with an equal one."""
    metrics: dict[str, float] = field(default_factory=dict)
    outputs: np.ndarray | None = None
    weights: dict[str, Tensor] = field(default_factory=dict)
    _highest: float = -math.inf
    """Best metric so far, times -1 if smaller values are better."""

    def merit(self, metrics: dict[str, float]) -> float:
        """Return the metric of the goal, times -1 if smaller values are better; minus infinity for NaN."""
        value = metrics[self.goal.metric] if self.goal.maximize else -metrics[self.goal.metric]
        return -math.inf if math.isnan(value) else value

    def offer(self, epoch: int, metrics: dict[str, float], outputs: np.ndarray) -> bool:
        """Return whether the epoch is the best so far, and store its values if so."""
        merit = self.merit(metrics)
        better = merit > self._highest
        tied = merit == self._highest and (not self.metrics or metrics["loss"] < self.metrics["loss"])
        if better:
            self._highest, self.improved = merit, epoch
        if self.keep.which == "best" and not better and not tied:
            return False
        self.epoch, self.metrics, self.outputs = epoch, metrics, outputs
        return True
