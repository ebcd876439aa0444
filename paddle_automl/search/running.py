"""The running trials: their reports, whether they continue, and how their ends are recorded."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from paddle_automl.core.errors import InfeasibleError, MachineError, TimeUpError, TrialError
from paddle_automl.search.executors.base import Failed, Finished, Job, Reported
from paddle_automl.search.objective import Objective, curve_objective, excess_of
from paddle_automl.search.records import NO_TIME, TrialRecord
from paddle_automl.search.schedulers.base import Decision, Point, Scheduler
from paddle_automl.search.study import Study


@dataclass
class RunningTrial:
    """State of a trial between its start and its end. `epochs` is its last one, if known."""

    record: TrialRecord
    job: Job
    curve: dict[int, float] = field(default_factory=dict)
    reports: dict[int, tuple[float | None, ...]] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    stopped: str = ""
    converged: bool = False
    kill_at: float | None = None
    epochs: int | None = None

    def __post_init__(self) -> None:
        self.epochs = self.job.epochs

    @property
    def usable_metrics(self) -> dict[str, float]:
        """Its best reported metrics, if they may be used as its result."""
        return {} if self.job.provisional else self.metrics


class Running:
    """Compares the reports of running trials with those of all others, and records how trials end."""

    def __init__(self, study: Study, scheduler: Scheduler) -> None:
        self.study = study
        self.scheduler = scheduler
        self.trials: dict[int, RunningTrial] = {}
        self._objective = curve_objective(study.objectives)
        self._points: dict[int, dict[int, Point]] = {}
        self._epochs: dict[int, int | None] = {}

    def __len__(self) -> int:
        return len(self.trials)

    @property
    def repeated(self) -> list[int]:
        """The trials whose configurations are being run again."""
        found = [trial.record.repeat_of for trial in self.trials.values()]
        return [number for number in found if number is not None]

    def know(self, record: TrialRecord) -> None:
        """Include the reports of an ended trial in later comparisons.

        Failed trials, copies and repeats are left out: repeats would count the best configurations twice.
        """
        self._points.pop(record.number, None)
        if record.counted and record.finished and record.repeat_of is None:
            reports = record.reports or {epoch: self._alone(value) for epoch, value in record.curve.items()}
            self._points[record.number] = {
                epoch: self._point(record.curve[epoch], reported) for epoch, reported in reports.items()
            }
            # Earlier versions did not record the epochs: a complete trial had as many as it reported.
            seen = max(record.curve, default=None) if record.state == "complete" else None
            self._epochs[record.number] = record.epochs or seen

    def report(self, event: Reported) -> bool:
        """Record a report; return whether the trial continues."""
        trial = self.trials[event.id]
        trial.epochs = event.epochs or trial.epochs
        self._epochs[event.id] = trial.epochs
        value = self._objective.measured(event.metrics)
        usable = value is not None and math.isfinite(value)
        if value is not None and usable:
            if not trial.curve or self._objective.cost(value) < min(
                map(self._objective.cost, trial.curve.values())
            ):
                trial.metrics = dict(event.metrics)
            trial.curve[event.epoch] = value
            values = self._values(event.metrics)
            if len(self.study.objectives) > 1:
                trial.reports[event.epoch] = values
            if trial.record.repeat_of is None:
                self._points.setdefault(event.id, {})[event.epoch] = self._point(value, values)
        last = trial.epochs is not None and event.epoch >= trial.epochs
        if not last:
            if trial.kill_at is not None:
                trial.stopped = NO_TIME
            elif usable and self._stops(event):
                trial.stopped = f"stopped by the scheduler after epoch {event.epoch}"
                trial.converged = not self.scheduler.cuts_short
        return not trial.stopped

    def _stops(self, event: Reported) -> bool:
        # A repeat always runs to its end: its result is averaged with those of whole runs.
        if event.id not in self._points:
            return False
        # The default stays where no other is surely better, and that is judged by whole trainings.
        if self.trials[event.id].record.baseline and self.scheduler.cuts_short:
            return False
        point = self._points[event.id][event.epoch]
        curves = {number: curve for number, curve in self._points.items() if self._comparable(number, event.id)}
        return self.scheduler.decide(event.id, event.epoch, point, curves) is Decision.STOP

    def _comparable(self, other: int, number: int) -> bool:
        """Return whether the curve of another trial may stop trial `number`.

        A trial of fewer epochs has had more of its learning-rate schedule at the same epoch: near its end it is
        better than a longer one there, even if the longer one would end better.
        """
        own, others = self._epochs.get(number), self._epochs.get(other)
        return own is None or others is None or others >= own

    def end(self, event: Finished | Failed) -> list[TrialRecord]:
        """Record the end of a trial; return its record and those of the trials that waited for it.

        A trial that the machine ended, or that was killed from outside for the first time, is recorded as
        interrupted: its choices are run again before anything new.
        """
        trial = self.trials.pop(event.id)
        if trial.reports:
            self.study.note_reports(event.id, trial.reports)
        if trial.curve and trial.epochs is not None:
            self.study.note_epochs(event.id, trial.epochs)
        if trial.job.folds > 1:
            self.study.note_folds(event.id, _judged(event, trial.job.folds), trial.job.folds)
        if isinstance(event, Failed):
            return self._fail(trial, event)
        try:
            metrics = _metrics(event.result)
            if trial.stopped:
                reached = metrics or trial.usable_metrics
                return self.study.prune(event.id, reached, trial.curve, trial.stopped, converged=trial.converged)
            return self.study.complete(event.id, metrics, trial.curve)
        except TrialError as error:
            return self.study.fail(event.id, str(error), trial.curve)

    def _fail(self, trial: RunningTrial, event: Failed) -> list[TrialRecord]:
        number, reason = trial.record.number, event.reason
        if event.cause in ("machine", "lost"):
            return self.study.interrupt(number)
        if event.cause == "killed":
            return self.study.killed(number, reason)
        if isinstance(event.error, TimeUpError):
            # It found out by itself that the time left is too short for it.
            reason = NO_TIME
        if isinstance(event.error, InfeasibleError):
            return self.study.refuse(number, reason)
        if reason == NO_TIME and trial.usable_metrics:
            return self.study.prune(number, trial.usable_metrics, trial.curve, NO_TIME)
        return self.study.fail(number, reason, trial.curve)

    def _values(self, metrics: Mapping[str, Any]) -> tuple[float | None, ...]:
        values = (objective.measured(metrics) for objective in self.study.objectives)
        return tuple(float(value) if value is not None and math.isfinite(value) else None for value in values)

    def _alone(self, value: float) -> tuple[float | None, ...]:
        return tuple(value if objective is self._objective else None for objective in self.study.objectives)

    def _point(self, value: float, values: tuple[float | None, ...]) -> Point:
        """Return the value that schedulers compare (`schedulers.base.Point`)."""
        cost = self._objective.cost(value)
        if len(self.study.objectives) == 1:
            return cost
        pairs = list(zip(self.study.objectives, values, strict=True))
        known: list[tuple[Objective, float]] = [(o, v) for o, v in pairs if v is not None]
        excess = excess_of([v for _, v in known], [o for o, _ in known]) if known else 0.0
        others = [math.nan if v is None else o.cost(v) for o, v in pairs if o is not self._objective]
        return (excess, cost, *others)


def _judged(event: Finished | Failed, folds: int) -> int:
    """Return how many folds a trial's values are the mean of: the reports of one that was cut are of the first."""
    told = event.result.get("folds") if isinstance(event, Finished) else 1
    return min(told, folds) if isinstance(told, int) else folds


def _metrics(result: Mapping[str, Any]) -> dict[str, float]:
    metrics = result.get("metrics", {})
    if not isinstance(metrics, Mapping):
        raise TrialError(f"the trial returned {metrics!r} instead of metrics")
    return {str(name): value for name, value in metrics.items() if isinstance(value, int | float)}


def stopped_by_machine(number: int, reason: str) -> MachineError:
    """Return the error that ends a search whose trial `number` ended by a fault of the machine."""
    return MachineError(
        f"trial {number}: {reason}. Its configuration is not the cause: the search stops, finished trials are "
        "kept, and the same command continues with this trial"
    )
