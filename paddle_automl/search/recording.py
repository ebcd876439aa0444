"""How the ends of trials are recorded in a study."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.trial import TrialState

from paddle_automl.search.faults import storing
from paddle_automl.search.objective import Objective, values_of
from paddle_automl.search.quiet import quiet_optuna
from paddle_automl.search.records import CONVERGED, INFEASIBLE, INTERRUPTED, KILLED, TrialRecord
from paddle_automl.search.standings import Standings
from paddle_automl.search.storage import MOST_KILLS, enqueue_again, kills_of, set_intermediate, set_mark
from paddle_automl.space import SearchSpace


class Recording(Standings):
    """The trials of a study, and the ways in which a running one ends.

    A trial that repeats the choices of a running one waits for it, and gets its results when it ends.
    """

    def __init__(self, study: optuna.Study, space: SearchSpace, objectives: Sequence[Objective]) -> None:
        super().__init__(objectives)
        self.space = space
        self._study = study
        self._clock: dict[int, float] = {}

    @storing
    def note_reports(self, number: int, reports: Mapping[int, Sequence[float | None]]) -> None:
        """Record the values of all objectives that a trial reported by epoch, before its end is recorded."""
        set_mark(self._study, number, "reports", {str(epoch): list(values) for epoch, values in reports.items()})

    @storing
    def note_epochs(self, number: int, epochs: int) -> None:
        """Record the last epoch that a trial was planned to have, before its end is recorded."""
        set_mark(self._study, number, "epochs", epochs)

    @storing
    def note_folds(self, number: int, judged: int, folds: int) -> None:
        """Record how many of a trial's folds its values are the mean of, before its end is recorded."""
        set_mark(self._study, number, "folds", [judged, folds])

    @storing
    def complete(self, number: int, metrics: Mapping[str, float], curve: Mapping[int, float]) -> list[TrialRecord]:
        """Record a trial's result; raises TrialError if an objective's metric is missing or not finite.

        Returns the trial's record, and those of the trials that waited for it.
        """
        values = values_of(metrics, self.objectives)
        return self._end(number, TrialState.COMPLETE, metrics=dict(metrics), curve=curve, values=values)

    @storing
    def prune(
        self,
        number: int,
        metrics: Mapping[str, float],
        curve: Mapping[int, float],
        reason: str,
        *,
        converged: bool = False,
    ) -> list[TrialRecord]:
        """Record a trial that was stopped early, with its metrics so far.

        A `converged` one no longer improved: its result counts as that of a whole training.
        """
        if converged:
            set_mark(self._study, number, CONVERGED, True)
        return self._end(number, TrialState.PRUNED, metrics=dict(metrics), curve=curve, reason=reason)

    @storing
    def refuse(self, number: int, reason: str) -> list[TrialRecord]:
        """Record a trial that was not trained, because its network is beyond a constraint."""
        set_mark(self._study, number, INFEASIBLE, True)
        return self._end(number, TrialState.PRUNED, reason=reason)

    @storing
    def fail(self, number: int, reason: str, curve: Mapping[int, float] | None = None) -> list[TrialRecord]:
        """Record a failed trial."""
        return self._end(number, TrialState.FAIL, reason=reason, curve=curve or {})

    @storing
    def interrupt(self, number: int) -> list[TrialRecord]:
        """Record a trial that ends with the search; its choices are run again when the search continues."""
        record = self._records[number]
        if record.duplicate_of is None:
            enqueue_again(self._study, number, record.params, self._study.trials[number].user_attrs)
        return self._end(number, TrialState.FAIL, reason=INTERRUPTED)

    @storing
    def killed(self, number: int, reason: str) -> list[TrialRecord]:
        """Record a trial that was killed from outside: as interrupted, after the second kill as failed.

        Kills are counted by choices, including kills of the whole search.
        """
        record = self._records[number]
        before = kills_of(self._study, self.space, record.params)
        set_mark(self._study, number, KILLED, True)
        if before + 1 >= MOST_KILLS:
            return self._end(number, TrialState.FAIL, reason=f"{reason}, for the second time")
        return self.interrupt(number)

    def _copy(self, record: TrialRecord, original: TrialRecord) -> TrialRecord:
        state = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED}.get(original.state, TrialState.FAIL)
        values = original.values if state == TrialState.COMPLETE else None
        if original.infeasible:
            set_mark(self._study, record.number, INFEASIBLE, True)
        if original.converged:
            set_mark(self._study, record.number, CONVERGED, True)
        if original.folds is not None:
            self.note_folds(record.number, *original.folds)
        ended = self._end(
            record.number,
            state,
            metrics=dict(original.metrics),
            curve=original.curve,
            reason=original.reason,
            values=values,
        )
        return ended[0]

    def _end(
        self,
        number: int,
        state: TrialState,
        *,
        metrics: Mapping[str, float] | None = None,
        curve: Mapping[int, float] | None = None,
        reason: str = "",
        values: Sequence[float] | None = None,
    ) -> list[TrialRecord]:
        record = self._records[number]
        seconds = time.monotonic() - self._clock[number]
        attributes: dict[str, Any] = {
            "metrics": {name: float(value) for name, value in (metrics or {}).items()},
            "curve": {str(epoch): value for epoch, value in (curve or {}).items()},
            "reason": reason,
            "seconds": 0.0 if record.duplicate_of is not None else round(seconds, 3),
        }
        for name, value in attributes.items():
            if value:
                set_mark(self._study, number, name, value)
        if curve and len(self.objectives) == 1:
            # Only the last point: samplers that learn from pruned trials use no other, and each costs a write.
            set_intermediate(self._study, number, max(curve), curve[max(curve)])
        with quiet_optuna():
            frozen = self._study.tell(number, values, state=state)
        # Only after everything is written: after a failed write the trial may be recorded in another way.
        del self._clock[number]
        record = TrialRecord.from_trial(frozen, self.objectives)
        self._records[number] = record
        return [record, *self._answer_waiting(record)]

    def _answer_waiting(self, original: TrialRecord) -> list[TrialRecord]:
        waiting = [r for r in self.records() if r.state == "running" and r.duplicate_of == original.number]
        return [self._copy(record, original) for record in waiting]
