"""Records of a study's trials, read from Optuna's storage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from optuna.trial import FrozenTrial, TrialState
from pydantic import BaseModel, ValidationError

from paddle_automl.core.errors import TrialError
from paddle_automl.core.schema import issues_of
from paddle_automl.search.objective import Costs, Objective, costs_of, values_of
from paddle_automl.space import Params, SearchSpace

State = Literal["running", "complete", "pruned", "failed"]
INTERRUPTED = "interrupted"
"""Reason of a trial that ended with its coordinator; its choices are run again."""

NO_TIME = "no time left"
"""Reason of a trial that the deadline stopped."""
UNASKED = "unasked"
"""Marks a trial that ended before all its choices were written."""
CONTROLLER_FAILED = "the controller failed"
"""Reason that earlier versions wrote instead of the mark, if its proposal raised an error."""
KILLED = "killed"
"""Marks a trial that was running when its search was killed."""
INFEASIBLE = "infeasible"
"""Marks a trial whose network is beyond a constraint."""
CONVERGED = "converged"
"""Marks a trial that was stopped because it no longer improved, not because others were better."""
KILLED_TWICE = "the search was killed twice while these choices ran"
"""Reason of a trial whose choices are not run again."""

_STATES: dict[TrialState, State] = {
    TrialState.RUNNING: "running",
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
}


class _Attributes(BaseModel):
    """The types of a trial's attributes; see `TrialRecord`."""

    metrics: dict[str, float] = {}
    seconds: float = 0.0
    reason: str = ""
    curve: dict[int, float] = {}
    reports: dict[int, tuple[float | None, ...]] = {}
    epochs: int | None = None
    duplicate_of: int | None = None
    retry_of: int | None = None
    repeat_of: int | None = None
    repeat: int = 0
    baseline: bool = False
    warm_start: bool = False
    unasked: bool = False
    killed: bool = False
    infeasible: bool = False
    converged: bool = False
    folds: tuple[int, int] | None = None


def checked_attributes(trial: FrozenTrial) -> _Attributes:
    """Return the attributes of an Optuna trial; raises ValueError if one has another type."""
    try:
        return _Attributes.model_validate(trial.user_attrs)
    except ValidationError as error:
        raise ValueError("; ".join(issues_of(error))) from None


@dataclass(frozen=True)
class TrialRecord:
    """One trial.

    `values` are the objectives' values, None for a trial without usable metrics. `curve` maps epochs to the first
    objective that has a value per epoch; `reports`, with several objectives, maps epochs to all of them, None if
    one was not reported. `epochs` is the last epoch that was planned, after a trial was shortened to the time left;
    None if unknown. `reason` says why a trial failed or was stopped. `duplicate_of` is the number of the trial
    whose results were copied instead of running this one; `retry_of` that of an interrupted trial. `repeat` counts
    from 1: such a trial runs the configuration of trial `repeat_of` again with another seed. `warm_start` marks the
    best of another study, `baseline` the configuration's own values. An `infeasible` one was not trained: its
    network is beyond `search.constraints`. A `converged` one was stopped because it no longer improved. `folds`,
    with cross-validation, are the number of those whose mean its values are, and the number of all.
    """

    number: int
    params: Params
    state: State
    metrics: Mapping[str, float] = field(default_factory=dict)
    values: tuple[float, ...] | None = None
    seconds: float = 0.0
    reason: str = ""
    curve: Mapping[int, float] = field(default_factory=dict)
    reports: Mapping[int, tuple[float | None, ...]] = field(default_factory=dict)
    epochs: int | None = None
    started: datetime | None = None
    duplicate_of: int | None = None
    retry_of: int | None = None
    repeat_of: int | None = None
    repeat: int = 0
    baseline: bool = False
    warm_start: bool = False
    infeasible: bool = False
    converged: bool = False
    folds: tuple[int, int] | None = None

    @property
    def finished(self) -> bool:
        """Whether the trial ended with a result: complete or pruned."""
        return self.state in ("complete", "pruned")

    @property
    def partial(self) -> bool:
        """Whether its result is that of a part of its training: others were better, or the time was up."""
        return self.part_of_folds or (self.state == "pruned" and not self.converged)

    @property
    def part_of_folds(self) -> bool:
        """Whether it was cut before all folds of its cross-validation were done: its values are of other items."""
        return self.folds is not None and self.folds[0] < self.folds[1]

    @property
    def folds_text(self) -> str:
        """``1 of 5 folds`` for a trial that was cut before all of them were done, else an empty text."""
        return f"{self.folds[0]} of {self.folds[1]} folds" if self.folds and self.part_of_folds else ""

    @property
    def counted(self) -> bool:
        """Whether the trial counts towards `search.trials`: it ended with a result or by its own failure.

        A repeat that the deadline cut has no result that can be compared with those of whole trainings.
        """
        if self.state == "failed":
            return self.duplicate_of is None and self.reason not in (INTERRUPTED, NO_TIME)
        if self.repeat_of is not None and self.state == "pruned":
            return False
        return self.finished and self.duplicate_of is None and not self.infeasible

    @classmethod
    def from_trial(cls, trial: FrozenTrial, objectives: Sequence[Objective]) -> TrialRecord:
        """Return the record of an Optuna trial; raises ValueError for attributes of other types."""
        known = checked_attributes(trial)
        values: tuple[float, ...] | None = None
        if trial.state in (TrialState.COMPLETE, TrialState.PRUNED):
            values = _values(known.metrics, objectives)
        return cls(
            number=trial.number,
            params=dict(trial.params),
            state=_STATES[trial.state],
            metrics=known.metrics,
            values=values,
            seconds=known.seconds,
            reason=known.reason,
            curve=known.curve,
            reports=known.reports,
            epochs=known.epochs,
            started=trial.datetime_start,
            duplicate_of=known.duplicate_of,
            retry_of=known.retry_of,
            repeat_of=known.repeat_of,
            repeat=known.repeat,
            baseline=known.baseline,
            warm_start=known.warm_start,
            infeasible=known.infeasible,
            converged=known.converged,
            folds=known.folds,
        )


@dataclass(frozen=True)
class Observation:
    """Data of a trial for controllers: `costs` are None if it failed, and early ones if it was `pruned`.

    `seconds` is its time, 0 if unknown.
    """

    number: int
    params: Params
    costs: Costs | None
    pruned: bool = False
    seconds: float = 0.0


@dataclass(frozen=True)
class History:
    """The data for controllers: ended trials, by number, and the choices of running ones.

    Choices of trials that ended without time for a result count as running until they are tried again: their
    results are not known, and less time is left now. Each run of a configuration is a separate observation:
    learners see its noise, and rank configurations by the mean of their runs.
    """

    finished: tuple[Observation, ...] = ()
    running: tuple[Params, ...] = ()

    @classmethod
    def of(cls, trials: Sequence[FrozenTrial], objectives: Sequence[Objective]) -> History:
        """Return the history of Optuna trials, without interrupted ones and copies."""
        finished, running = [], []
        retried = {trial.user_attrs.get("retry_of") for trial in trials}
        for trial in sorted(trials, key=lambda trial: trial.number):
            attributes = trial.user_attrs
            if "duplicate_of" in attributes:
                continue
            reason = attributes.get("reason")
            if trial.state == TrialState.FAIL and reason in (INTERRUPTED, CONTROLLER_FAILED):
                continue
            if is_cut(trial):
                if trial.number not in retried:
                    running.append(dict(trial.params))
            elif trial.state == TrialState.RUNNING:
                running.append(dict(trial.params))
            elif trial.state.is_finished():
                costs = None
                if trial.state != TrialState.FAIL:
                    values = trial.values or _values(attributes.get("metrics", {}), objectives)
                    costs = None if values is None else costs_of(values, objectives)
                pruned = trial.state == TrialState.PRUNED
                seconds = float(attributes.get("seconds", 0.0))
                finished.append(Observation(trial.number, dict(trial.params), costs, pruned, seconds))
        return cls(tuple(finished), tuple(running))

    def keys(self, space: SearchSpace) -> set[str]:
        """Return the canonical keys of all choices that were tried or are running."""
        tried = [observation.params for observation in self.finished]
        return {space.canonical_key(params) for params in (*tried, *self.running)}

    def usable(self) -> list[Observation]:
        """Return the trials that have costs."""
        return [observation for observation in self.finished if observation.costs is not None]


def was_asked(trial: FrozenTrial, space: SearchSpace) -> bool:
    """Return whether all choices of a trial are known; its search may have ended while it was proposed."""
    return trial.state != TrialState.WAITING and space.contains(trial.params)


def is_cut(trial: FrozenTrial) -> bool:
    """Return whether the deadline ended a trial before it had a result."""
    attributes = trial.user_attrs
    ended = trial.state == TrialState.FAIL and attributes.get("reason") == NO_TIME
    return ended and "duplicate_of" not in attributes


def proposal_number(trials: Sequence[FrozenTrial], number: int) -> int:
    """Return the number of proposals before trial `number`.

    Trials that an interruption added, and repeats, are not counted, so a resumed study draws the same random
    numbers as one that was never interrupted.
    """
    added = ("retry_of", "repeat_of", UNASKED)
    earlier = (trial.user_attrs for trial in trials if trial.number < number)
    return number - sum(
        1
        for attributes in earlier
        if any(mark in attributes for mark in added) or attributes.get("reason") == CONTROLLER_FAILED
    )


def _values(metrics: Mapping[str, Any], objectives: Sequence[Objective]) -> tuple[float, ...] | None:
    try:
        return values_of(metrics, objectives)
    except TrialError:
        return None
