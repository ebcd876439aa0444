"""Estimated times of the later stages, learned while a search runs."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from paddle_automl.core.runtime import usable_cores
from paddle_automl.pipeline.config import RunConfig
from paddle_automl.pipeline.runs.record import TrainResult
from paddle_automl.search.records import TrialRecord

EXPORT_S, LEAST_EXPORT_S = 12.0, 4.0
"""Seconds for test, export, parity check and timing before any export was timed; also the minimum."""
REPORT_S = 2.0
"""Seconds for plots and summary."""
FIRST_FRACTION, LARGEST_FRACTION = 0.25, 0.5
"""Fraction of the budget reserved for refit and export before any trial has ended; also the maximum."""
COMPRESS_FRACTION = 0.25
"""Fraction of the budget reserved for a chain of compression after the export."""
MOST_REFIT = 8
"""Most epochs of a refit with as much time as it wants, in those of a trial."""
WORTHWHILE = 0.5
"""Fraction of a trial's epochs below which a refit is not started."""
MARGIN = 1.1
"""Safety factor for the time of an epoch or an export."""
START_S = 1.0
"""Seconds before the first step of a training: its process starts, and the data are read."""
GRACE_S = 2.0
"""Seconds that a running trial may take to stop at its next epoch."""
TESTED = 1.5
"""Factor of the time of an export during the search for the final one, which tests, of networks that are solved in
part: their trials are short, so that an export is not, beside them."""
INSTANT_S = 1e-3
"""Seconds of an epoch without steps."""
GROWTH = 1.4
"""Factor of the time to solve for weights in a refit on the validation items too, a quarter more as a rule."""
LEADERS = 3
"""Number of best trials from whose epochs the time of the refit is estimated: they probably include the winner."""


@dataclass
class Estimates:
    """Seconds of an epoch of the likely winner, and of an export; None while unknown."""

    config: RunConfig
    epoch_s: float | None = None
    export_s: float | None = None
    exporting_since: float | None = None
    """When an export began that still runs, on the monotonic clock."""
    solve_s: float = 0.0
    """Seconds that one network of the likely winner needs for weights that are computed from all items at once."""
    trial_solve_s: float = 0.0
    """Most seconds that a trial needed for such weights, of all its folds."""
    solved_s: dict[int, float] = field(default_factory=dict)
    """The same by a trial's number, of all its folds."""
    trained_s: dict[int, float] = field(default_factory=dict)
    """Seconds of the training itself by a trial's number: of all its folds, without start and reading of data."""

    epochs: dict[int, float] = field(default_factory=dict)
    """Epochs over all training items that a trial had, by its number."""
    best_epochs: float | None = None
    """Those of the best trial; None while unknown."""
    best_epoch_s: float | None = None
    """Seconds of an epoch of the best trial; None while unknown."""
    leader_s: float | None = None
    """Most seconds that the epochs of one of the trials that may win take; None while unknown."""
    useful_trial_s: float | None = None
    """Seconds below which no further trial is worth its time before a refit; None without one."""

    def learn(self, ranking: Sequence[TrialRecord]) -> None:
        """Store the slowest epoch of the trials that may win, and how long these were."""
        solved = [self.solved_s.get(record.number, 0.0) for record in ranking[:LEADERS]]
        self.solve_s = max(solved, default=0.0) / self.networks
        known = [seconds for record in ranking[:LEADERS] if (seconds := self.epoch_of(record)) is not None]
        if known:
            self.epoch_s = max(known)
            self.best_epochs = self.epochs.get(ranking[0].number)
            self.best_epoch_s = self.epoch_of(ranking[0])
            # Each by its own epochs: a wide network has few long ones, a narrow one many short ones.
            self.leader_s = max(
                min(self.planned_epochs, self.epochs.get(record.number, self.config.training.epochs)) * seconds
                for record in ranking[:LEADERS]
                if (seconds := self.epoch_of(record)) is not None
            )
            took = [record.seconds for record in ranking[:LEADERS] if record.seconds]
            self.useful_trial_s = WORTHWHILE * min(took, default=0.0) if self.refit() else None

    def epoch_of(self, record: TrialRecord) -> float | None:
        """Return the time of an epoch of one network of a trial, with cheap first epochs weighted by their cost."""
        seconds = self.trained_s.get(record.number, record.seconds)
        if not record.curve or not seconds:
            return None
        epochs = self.epochs.get(record.number) or self.config.training.progressive.whole_epochs(max(record.curve))
        return seconds / self.networks / epochs

    @property
    def networks(self) -> int:
        """Return how many networks a trial trains: one for each fold."""
        folds = self.config.data.folds
        return folds if isinstance(folds, int) else 1

    def trial_fits(self, seconds: float) -> bool:
        """Return whether all epochs of a trial surely fit into `seconds`, as far as earlier trials tell.

        Trials with weights that are solved tell nothing about those that learn in steps, or more of them.
        """
        if self.epoch_s is None or self.solve_s:
            return False
        return MARGIN * self.networks * self.config.training.epochs * self.epoch_s + START_S <= seconds

    def ended(self, number: int, result: TrainResult) -> None:
        """Note the times of a trial's training."""
        self.trained_s[number], self.solved_s[number] = result.seconds, result.solved_s
        self.trial_solve_s = max(self.trial_solve_s, result.solved_s)
        if result.solved_s and result.epochs_run == 1 < self.config.training.epochs:
            # Nothing was learned in steps: its one epoch is an evaluation, and more of them do not follow.
            self.trained_s[number], self.solved_s[number] = INSTANT_S, result.solved_s + result.seconds

    @property
    def refit_solve_s(self) -> float:
        """Return the seconds to reserve in a refit for weights that are computed from all items at once."""
        return MARGIN * self.solve_s * (GROWTH if self.config.refit.data == "train+validation" else 1.0)

    def export(self) -> float:
        """Return the seconds to reserve for test, export and parity check."""
        margin = MARGIN * (TESTED if self.solve_s else 1.0)
        known = EXPORT_S if self.export_s is None else max(LEAST_EXPORT_S, margin * self.export_s + 1.0)
        if self.exporting_since is None:
            return known
        return max(known, MARGIN * (time.monotonic() - self.exporting_since) + 1.0)

    def refit(self) -> float:
        """Return the seconds to reserve for the refit."""
        budget = self.config.budget.time or 0.0
        if self.epoch_s is None:
            return max(0.0, FIRST_FRACTION * budget - self.export())
        most = max(0.0, LARGEST_FRACTION * budget - self.export())
        wanted = MARGIN * self.planned_epochs * self.epoch_s + self.refit_solve_s + START_S
        # If even the maximum is too short for a useful refit, the trials get the time.
        epochs_s = self.least_epochs * self.epoch_s if self.leader_s is None else WORTHWHILE * self.leader_s
        useful = MARGIN * epochs_s + self.refit_solve_s
        return min(wanted, most) if most >= useful else 0.0

    @property
    def planned_epochs(self) -> int:
        """Return the number of epochs of a refit with enough time.

        With ``refit.epochs: auto`` it follows from the budget and the trials alone, so that a search that is
        continued plans the same. A refit may train faster than a trial, with all cores; it has as many of these
        epochs as then fit.
        """
        stated, trial = self.config.refit.epochs, self.config.training.epochs
        if stated != "auto":
            return stated or trial
        if self.config.budget.time is None or self.epoch_s is None:
            return trial
        threads = usable_cores() if self.config.training.threads == "auto" else 1
        fitting = (
            threads * LARGEST_FRACTION * self.config.budget.time / (MARGIN * (self.best_epoch_s or self.epoch_s))
        )
        return max(trial, min(int(fitting), MOST_REFIT * trial))

    @property
    def least_epochs(self) -> float:
        """Return the number of epochs below which a refit is not started: the trial's own weights are as good."""
        trial = self.config.training.epochs if self.best_epochs is None else self.best_epochs
        return WORTHWHILE * min(self.planned_epochs, trial)

    def fitting_epochs(self, best: TrialRecord, seconds: float | None) -> int:
        """Return how many epochs of the best trial fit into `seconds`; without a limit, any number."""
        epoch_s = self.epoch_of(best)
        if seconds is None or epoch_s is None:
            return sys.maxsize
        return max(0, int((seconds - START_S - self.refit_solve_s) / (MARGIN * epoch_s)))
