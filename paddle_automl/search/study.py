"""The study: all trials with choices and results, in one SQLite file from which a search can continue."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import filelock
import optuna

from paddle_automl.core.errors import StudyError
from paddle_automl.core.threads import one_blas_thread
from paddle_automl.search.configurations import Chance, Configuration, settled_configurations
from paddle_automl.search.controllers.base import Controller
from paddle_automl.search.faults import checked_records, raise_own, storing
from paddle_automl.search.learning.encoding import Encoding
from paddle_automl.search.objective import Objective
from paddle_automl.search.quiet import quiet_optuna
from paddle_automl.search.recording import Recording
from paddle_automl.search.records import History, TrialRecord, was_asked
from paddle_automl.search.storage import (
    ask_again,
    ask_again_with_time,
    ask_repeat,
    close_storage,
    compare,
    end_unasked,
    enqueue,
    identity_of,
    open_storage,
    running_mark,
    waiting_trials,
)
from paddle_automl.space import Params, SearchSpace


class Study(Recording):
    """The record of a search. One process writes it; Optuna's tools may read it at any time.

    A failed write is an OutputError that says what to do; finished trials are kept.
    """

    def __init__(
        self,
        study: optuna.Study,
        space: SearchSpace,
        objectives: Sequence[Objective],
        lock: filelock.BaseFileLock,
        resumed: bool,
        path: Path,
    ) -> None:
        super().__init__(study, space, objectives)
        self.resumed = resumed
        self._lock = lock
        self._path = path
        self.chance: Chance | None = None
        """The standard error of a trial's value, where it is known; see `settled_configurations`."""
        self._settled: tuple[list[Any], list[Configuration]] | None = None
        for trial in study.get_trials(deepcopy=False):
            if was_asked(trial, space):
                self._records[trial.number] = TrialRecord.from_trial(trial, self.objectives)

    @classmethod
    def open(
        cls,
        path: str | Path,
        *,
        space: SearchSpace,
        objectives: Sequence[Objective],
        identity: Mapping[str, Any],
    ) -> Study:
        """Create the study, or continue the one in the file.

        `identity` holds, as a flat mapping, everything that affects a trial's result; the space and the objectives
        are added to it. Trials that an ended search left running are recorded as interrupted, and their choices are
        run again before anything new, unless the search was killed twice while they ran; so are those of trials
        that had no time for a result. Raises StudyError if the file belongs to another search, is in use by a
        running one, or is damaged, OutputError if the system does not allow writing.
        """
        path = Path(path)
        lock = filelock.FileLock(f"{path}.lock")
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            raise StudyError(
                f"{path}: another search is running in this folder; wait for it, or use -o output=PATH"
            ) from None
        except OSError as error:
            raise_own(path, error)
        full = json.loads(json.dumps({**identity, **identity_of(space, objectives)}, default=str))
        study: optuna.Study | None = None
        try:
            study = open_storage(path, objectives)
            known = study.user_attrs.get("identity")
            if known is None:
                study.set_user_attr("identity", full)
            else:
                compare(path, known, full)
            checked_records(study.get_trials(deepcopy=False), objectives, space)
            ask_again(study, space, killed=running_mark(path).exists())
            ask_again_with_time(study, space)
            running_mark(path).touch()
            return cls(study, space, objectives, lock, resumed=known is not None, path=path)
        except BaseException as error:  # noqa: BLE001  raised again
            if study is not None:
                close_storage(study)
            lock.release()
            raise_own(path, error)

    def close(self) -> None:
        """Release the file."""
        try:
            close_storage(self._study)
            running_mark(self._path).unlink(missing_ok=True)
        finally:
            self._lock.release()

    def __enter__(self) -> Study:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @property
    def optuna(self) -> optuna.Study:
        """Optuna's own study, for its plots and importances."""
        return self._study

    @storing
    def enqueue_first(
        self, baseline: Params | None, others: Sequence[Params] = (), *, given: Sequence[Params] = ()
    ) -> None:
        """Enqueue the configuration's own values, those `given`, then others; do nothing if the study has trials.

        `others` are marked as those of other studies.
        """
        if self._study.get_trials(deepcopy=False):
            return
        own = [] if baseline is None else [baseline]
        ordered = [*((params, "baseline") for params in own), *((params, "") for params in given)]
        ordered += [(params, "warm_start") for params in others]
        different: dict[str, tuple[Params, str]] = {}
        for params, mark in ordered:
            different.setdefault(self.space.canonical_key(params), (params, mark))
        marked = list(different.values())
        for params, mark in marked:
            if not self.space.contains(params):
                raise ValueError(f"the {mark or 'given'} {params} is not in the search space")
        for params, mark in marked:
            enqueue(self._study, params, {mark: True} if mark else {})

    @storing
    def repeat(self, number: int) -> None:
        """Enqueue the configuration of a finished trial once more, with another seed, before anything new.

        The repeat counts as a trial. Raises ValueError for a trial without a result.
        """
        record = self._records.get(number)
        if record is None or not record.finished or record.duplicate_of is not None:
            raise ValueError(f"trial {number} has no result of its own, so there is nothing to repeat")
        first = number if record.repeat_of is None else record.repeat_of
        waiting = [trial.user_attrs for trial in waiting_trials(self._study, repeats=True)]
        known = [r.repeat for r in self._records.values() if r.repeat_of == first]
        known += [marks["repeat"] for marks in waiting if marks["repeat_of"] == first]
        marks = {"repeat_of": first, "repeat": max(known, default=0) + 1}
        enqueue(self._study, self._records[first].params, marks)

    def settled(self) -> list[Configuration]:
        """Return the configurations with the one to ship first; see `settled_configurations`."""
        found = self.configurations()
        mark = [(item.first.number, item.values, len(item.runs), item.failed) for item in found]
        if self._settled is None or self._settled[0] != mark:
            with one_blas_thread():
                ordered = settled_configurations(found, self.objectives, Encoding(self.space), self.chance)
            self._settled = (mark, ordered)
        return list(self._settled[1])

    @property
    @storing
    def waiting(self) -> int:
        """How many enqueued trials other than repeats wait to be asked."""
        return len(waiting_trials(self._study, repeats=False))

    @property
    @storing
    def waiting_repeats(self) -> int:
        """How many enqueued repeats wait to be asked."""
        return len(waiting_trials(self._study, repeats=True))

    @storing
    def exhausted(self, controller: Controller) -> bool:
        """Return whether nothing is left to ask."""
        if waiting_trials(self._study):
            return False
        return controller.exhausted(History.of(self._study.get_trials(deepcopy=False), self.objectives))

    @storing
    def ask(self, controller: Controller, *, repeat: bool = False) -> TrialRecord:
        """Return the next trial, or the next enqueued `repeat`, before other trials that were enqueued earlier.

        Choices of a finished trial get its results: the returned trial has already ended. Choices of a running
        trial get its results when it ends (`duplicate_of` is set, the state is running). A `repeat` never gets
        copied results: it runs.
        """
        self._study.sampler = controller
        with quiet_optuna():
            trial = ask_repeat(self._study) if repeat else self._study.ask()
            try:
                params: Params = {}
                for decision in self.space.decisions:
                    if decision.condition is None or decision.condition.holds(params):
                        params[decision.name] = decision.domain.suggest(trial, decision.name)
            except BaseException:
                end_unasked(self._study, self.space, self._study.trials[trial.number])
                raise
        marks = trial.user_attrs
        record = TrialRecord(
            trial.number,
            params,
            "running",
            started=trial.datetime_start,
            retry_of=marks.get("retry_of"),
            repeat_of=marks.get("repeat_of"),
            repeat=marks.get("repeat", 0),
            baseline=marks.get("baseline", False),
            warm_start=marks.get("warm_start", False),
        )
        original = self._original(params) if record.repeat_of is None else None
        if original is not None:
            trial.set_user_attr("duplicate_of", original.number)
            record = replace(record, duplicate_of=original.number)
        self._records[record.number] = record
        self._clock[record.number] = time.monotonic()
        if original is not None and original.finished:
            return self._copy(record, original)
        return record

    def _original(self, params: Params) -> TrialRecord | None:
        key = self.space.canonical_key(params)
        for record in self._records.values():
            first = record.duplicate_of is None and record.repeat_of is None
            tried = first and (record.finished or record.state == "running")
            if tried and self.space.canonical_key(record.params) == key:
                return record
        return None
