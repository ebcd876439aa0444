"""What the later stages will take, learned while a search runs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

from paddle_automl.pipeline.config import RunConfig
from paddle_automl.search.records import TrialRecord

EXPORT_S, LEAST_EXPORT_S = 12.0, 4.0
"""Test, export, parity check and timing: before any export was timed, and at least."""
REPORT_S = 3.0
"""Pictures and summary."""
FIRST_FRACTION, LARGEST_FRACTION = 0.25, 0.5
"""Fraction of the budget kept back for refit and export before any trial ended, and at most."""
COMPRESS_FRACTION = 0.25
"""Fraction of the budget kept back for a chain of compression after the export."""
WORTHWHILE = 0.5
"""Fraction of a trial's epochs below which a refit is not begun."""
MARGIN = 1.2
"""By how much an epoch or an export may take longer than those seen."""
GRACE_S = 3.0
"""What a running trial may take to stop at its next epoch."""
LEADERS = 3
"""Best trials from whose epochs the time of the refit is estimated: the winner is likely among them."""


@dataclass
class Estimates:
    """Seconds of an epoch of the likely winner, and of an export; None while unknown."""

    config: RunConfig
    epoch_s: float | None = None
    export_s: float | None = None

    def learn(self, ranking: Sequence[TrialRecord]) -> None:
        """Take the slowest epoch of the trials that may win."""
        known = [seconds for record in ranking[:LEADERS] if (seconds := self.epoch_of(record)) is not None]
        if known:
            self.epoch_s = max(known)

    def epoch_of(self, record: TrialRecord) -> float | None:
        """Return what an epoch of all data took in a trial, cheap first epochs counted by their cost."""
        if not record.curve or not record.seconds:
            return None
        return record.seconds / self.config.training.progressive.whole_epochs(max(record.curve))

    def export(self) -> float:
        """Return the seconds to keep back for test, export and parity check."""
        return EXPORT_S if self.export_s is None else max(LEAST_EXPORT_S, MARGIN * self.export_s + 1.0)

    def refit(self) -> float:
        """Return the seconds to keep back for the refit."""
        budget = self.config.budget.time or 0.0
        if self.epoch_s is None:
            return max(0.0, FIRST_FRACTION * budget - self.export())
        most = max(0.0, LARGEST_FRACTION * budget - self.export())
        wanted = MARGIN * self.planned_epochs * self.epoch_s
        # Where even the most is too little for a refit worth its name, the trials get the time.
        return min(wanted, most) if most >= MARGIN * self.least_epochs * self.epoch_s else 0.0

    @property
    def planned_epochs(self) -> int:
        """Return the epochs of a refit that has all the time it wants."""
        return self.config.refit.epochs or self.config.training.epochs

    @property
    def least_epochs(self) -> float:
        """Return the epochs below which a refit is not begun: the trial's own weights are as good."""
        return WORTHWHILE * min(self.planned_epochs, self.config.training.epochs)

    def fitting_epochs(self, best: TrialRecord, seconds: float | None) -> int:
        """Return how many epochs of the best trial fit into so many seconds; without a limit, any number."""
        epoch_s = self.epoch_of(best)
        if seconds is None or epoch_s is None:
            return sys.maxsize
        return max(0, int(seconds / (MARGIN * epoch_s)))
