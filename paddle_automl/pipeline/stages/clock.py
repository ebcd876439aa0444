"""The time of a command: what may still be used for trials, and what is kept back for the rest."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

from paddle_automl.pipeline.config import RunConfig
from paddle_automl.search.records import TrialRecord

EXPORT_S = 12.0
"""Kept back for the test, the export, its proof and its timing."""
FIRST_SHARE, LARGEST_SHARE = 0.25, 0.5
"""Share of the budget kept back before any trial ended, and at most."""
MARGIN = 1.2
GRACE_S = 3.0
"""What a running trial may take to stop at its next epoch."""


class Clock:
    """Deadlines of one command, from its start."""

    def __init__(self, config: RunConfig, started: float | None = None) -> None:
        self.config = config
        self.started = time.monotonic() if started is None else started
        self.reserve = FIRST_SHARE * (config.budget.time or 0.0)

    @property
    def passed(self) -> float:
        """Return the seconds since the start."""
        return time.monotonic() - self.started

    def left(self) -> float | None:
        """Return the seconds left of the whole budget, or None without one."""
        return None if self.config.budget.time is None else self.config.budget.time - self.passed

    def trials_end(self) -> float | None:
        """Return the time, on the monotonic clock, at which trials must have ended; None without a budget."""
        if self.config.budget.time is None:
            return None
        return self.started + self.config.budget.time - self.reserve - GRACE_S

    def learn(self, leaders: Sequence[TrialRecord]) -> None:
        """Estimate anew what the last training takes, from the slowest epoch of the trials that may win."""
        budget = self.config.budget.time
        if budget is None:
            return
        per_epoch = [seconds for record in leaders if (seconds := self._epoch_seconds(record)) is not None]
        if per_epoch:
            wanted = self.final_seconds(max(per_epoch)) + EXPORT_S
            self.reserve = min(wanted, LARGEST_SHARE * budget)

    def fitting_epochs(self, best: TrialRecord) -> int:
        """Return how many epochs of the best trial fit into the time left before the export."""
        left, epoch_s = self.left(), self._epoch_seconds(best)
        if left is None or epoch_s is None:
            return sys.maxsize
        return max(0, int((left - EXPORT_S) / (MARGIN * epoch_s)))

    def _epoch_seconds(self, record: TrialRecord) -> float | None:
        """Return what an epoch of the whole data took in a trial, the cheap first ones counted by their share."""
        if not record.curve or not record.seconds:
            return None
        return record.seconds / self.config.training.progressive.whole_epochs(max(record.curve))

    def final_seconds(self, epoch_s: float) -> float:
        """Return how long the last training takes when an epoch takes `epoch_s`."""
        epochs = self.config.final.epochs or self.config.training.epochs
        return MARGIN * epochs * epoch_s
