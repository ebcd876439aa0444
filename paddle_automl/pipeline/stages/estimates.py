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
FIRST_FRACTION, LARGEST_FRACTION = 0.25, 0.6
"""Fraction of the budget reserved for refit and export before any trial has ended; also the maximum."""
COMPRESS_FRACTION = 0.25
"""Fraction of the budget reserved for a chain of compression after the export."""
MOST_REFIT = 8
"""Most epochs of a refit with as much time as it wants, in those of a trial."""
WORTHWHILE = 0.5
"""Fraction of a trial's epochs below which a refit is not started."""
MARGIN = 1.1
"""Safety factor for the time of an epoch or an export."""
REFIT_EPOCH = 0.9
"""Most time of an epoch of a refit on one core, in that of a trial, which is evaluated and has others beside it."""
START_S = 1.0
"""Seconds before the first step of a training: its process starts, and the data are read."""
GRACE_S = 2.0
"""Seconds that a running trial may take to stop at its next epoch."""
TESTED = 1.5
"""Factor of the time of an export during the search for the final one, which also tests. Only for networks that are
solved in part: beside their short trials the test takes long; for others it is within the margin."""
THREADS_GAIN = 1.4
"""Speed of a training on several cores, in that on one, which it has at least where they are free."""
INSTANT_S = 1e-3
"""Seconds of an epoch without steps."""
GROWTH = 1.4
"""Factor of the time to solve for weights in a refit on the validation items too, a quarter more as a rule."""
LEADERS = 3
"""Number of best trials from whose epochs the time of the refit is estimated: they probably include the winner."""


def most_epochs(config: RunConfig, trial: int | None = None) -> int:
    """Return the most epochs of a refit with ``refit.epochs: auto``; `trial`: those of a trial."""
    trial = config.training.epochs if trial is None else trial
    return max(trial, min(MOST_REFIT * trial, config.refit.most_epochs or sys.maxsize))


@dataclass
class Estimates:
    """What trials and exports took, and what the stages after the search need by that."""

    config: RunConfig
    export_s: float | None = None
    """Most seconds of an export during the search; None before the first."""
    exporting_since: float | None = None
    """When an export began that still runs, on the monotonic clock."""
    solved_s: dict[int, float] = field(default_factory=dict)
    """Seconds for weights that are computed from all items at once, by a trial's number, of all its folds."""
    trained_s: dict[int, float] = field(default_factory=dict)
    """Seconds of the training itself by a trial's number: of all its folds, without start and reading of data."""
    epochs: dict[int, float] = field(default_factory=dict)
    """Epochs over all training items that a trial had, by its number."""
    leaders: Sequence[TrialRecord] = ()
    """The trials that may win, the best first; empty while none is known."""

    def ended(self, number: int, result: TrainResult, epochs: float) -> None:
        """Note the times of a trial's training, and its epochs over all training items.

        With cross-validation the times are those of all folds, each trained like the first one: a trial may have
        been stopped in that, or have gone on with longer ones.
        """
        self.epochs[number] = epochs
        solved_s, trained_s = result.solved_s, result.seconds
        if result.folds and result.all_epochs:
            solved_s *= self.networks / result.folds
            trained_s *= self.networks * result.epochs_run / result.all_epochs
        if result.only_solved:
            # Its one epoch is an evaluation, and more of them do not follow.
            solved_s, trained_s = solved_s + trained_s, INSTANT_S
        self.trained_s[number], self.solved_s[number] = trained_s, solved_s

    def learn(self, ranking: Sequence[TrialRecord]) -> None:
        """Note which trials may win."""
        self.leaders = [item for item in ranking[:LEADERS] if self.epoch_of(item) is not None] or self.leaders

    def epoch_of(self, record: TrialRecord) -> float | None:
        """Return the time of an epoch of one network of a trial, with cheap first epochs weighted by their cost."""
        seconds = self.trained_s.get(record.number, record.seconds)
        if not record.curve or not seconds:
            return None
        epochs = self.epochs.get(record.number) or self.config.training.progressive.whole_epochs(max(record.curve))
        return seconds / self.networks / epochs

    @property
    def epoch_s(self) -> float | None:
        """Return the seconds of the slowest epoch of the leaders; None while unknown."""
        return max(map(self._epoch_s, self.leaders), default=None)

    @property
    def solve_s(self) -> float:
        """Return the seconds that one network of the leaders needs for weights that are solved."""
        return max((self.solved_s.get(item.number, 0.0) for item in self.leaders), default=0.0) / self.networks

    @property
    def trial_solve_s(self) -> float:
        """Return the most seconds that a trial needed for such weights, of all its folds."""
        return max(self.solved_s.values(), default=0.0)

    @property
    def useful_trial_s(self) -> float | None:
        """Return the seconds below which no further trial is worth its time before a refit; None without one."""
        if not self.leaders or not self.refit():
            return None
        if self.config.refit.epochs != "auto":
            return WORTHWHILE * min((item.seconds for item in self.leaders if item.seconds), default=0.0)
        # Such a refit can use the time of a trial that would be shortened, and so could not win.
        longest = max(map(self.epochs_of, self.leaders))
        return longest * self.networks * min(map(self._epoch_s, self.leaders))

    @property
    def networks(self) -> int:
        """Return how many networks a trial trains: one for each fold."""
        return self.config.data.networks

    def trial_fits(self, seconds: float, epochs: int) -> bool:
        """Return whether a trial of so many epochs surely fits into `seconds`, as far as earlier trials tell.

        Trials with weights that are solved tell nothing about those that learn in steps, or more of them.
        """
        if self.epoch_s is None or self.solve_s:
            return False
        return MARGIN * self.networks * epochs * self.epoch_s + START_S <= seconds

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
        most = max(0.0, self._largest_s - self.export())
        wanted = MARGIN * self.planned_epochs * self._refit_epoch_s + self.refit_solve_s + START_S
        # Each by its own epochs: a wide network has few long ones, a narrow one many short ones.
        leader_s = max(
            min(self.planned_epochs, self.epochs_of(item)) * self._epoch_s(item) for item in self.leaders
        )
        # If even the maximum is too short for a useful refit, the trials get the time.
        useful = MARGIN * WORTHWHILE * leader_s + self.refit_solve_s
        return min(wanted, most) if most >= useful else 0.0

    @property
    def _largest_s(self) -> float:
        """Return the most seconds of the budget for refit and export, of what a later compression leaves."""
        chain = self.config.compression
        later = COMPRESS_FRACTION if chain.steps and not chain.in_trials else 0.0
        return LARGEST_FRACTION * (1.0 - later) * (self.config.budget.time or 0.0)

    @property
    def _refit_epoch_s(self) -> float:
        """Return the seconds to reserve for an epoch of a refit."""
        assert self.epoch_s is not None
        if self.config.refit.epochs != "auto" or self.config.refit.most_epochs != self.planned_epochs:
            # Faster epochs become more of them.
            return self.epoch_s
        threads = min(self._threads, usable_cores())
        return self._epoch_s(self.leaders[0]) / (THREADS_GAIN if threads > 1 else 1.0)

    @property
    def _threads(self) -> int:
        """Return the threads that a refit may train with."""
        threads = self.config.training.threads
        return usable_cores() if threads == "auto" else threads

    @property
    def planned_epochs(self) -> int:
        """Return the number of epochs of a refit with enough time.

        With ``refit.epochs: auto`` it follows from the budget, the cores and the trials alone, so that a search
        that is continued plans the same. A refit may train faster than a trial, with all cores; it has as many of
        these epochs as then fit.
        """
        stated, trial = self.config.refit.epochs, self.config.training.epochs
        if self.leaders:
            # A space may vary them.
            trial = max(trial, round(self.epochs_of(self.leaders[0])))
        if stated != "auto":
            return stated or trial
        if self.config.budget.time is None or not self.leaders:
            return trial
        best_s = REFIT_EPOCH * self._epoch_s(self.leaders[0])
        fitting = self._threads * self._largest_s / best_s
        return min(max(trial, int(fitting)), most_epochs(self.config, trial))

    @property
    def least_epochs(self) -> float:
        """Return the number of epochs below which a refit is not started: the trial's own weights are as good."""
        trial = self.epochs_of(self.leaders[0]) if self.leaders else self.config.training.epochs
        return WORTHWHILE * min(self.planned_epochs, trial)

    def epochs_of(self, record: TrialRecord) -> float:
        """Return the epochs of a trial, or those that were planned for it if time did not shorten them."""
        return self.epochs.get(record.number, self.config.training.epochs)

    def _epoch_s(self, record: TrialRecord) -> float:
        """Return the seconds of an epoch of a leader."""
        found = self.epoch_of(record)
        assert found is not None
        return found

    def fitting_epochs(self, best: TrialRecord, seconds: float | None) -> int:
        """Return how many epochs of the best trial fit into `seconds`; without a limit, any number."""
        epoch_s = self.epoch_of(best)
        if seconds is None or epoch_s is None:
            return sys.maxsize
        return max(0, int((seconds - START_S - self.refit_solve_s) / (MARGIN * epoch_s)))
