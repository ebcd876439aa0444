"""The study's file: opening it, comparing its identity, and repairing it after a kill."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.samplers import RandomSampler
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState

from paddle_automl.core.errors import StudyError
from paddle_automl.search.faults import check_file, harden, raise_own
from paddle_automl.search.objective import Objective
from paddle_automl.search.quiet import quiet_optuna
from paddle_automl.search.records import INTERRUPTED, KILLED, KILLED_TWICE, UNASKED, is_cut, was_asked
from paddle_automl.space import Params, SearchSpace

NAME = "paddle_automl"
BUSY_S = 60.0
MARKS = ("baseline", "warm_start", "repeat_of", "repeat")
"""Attributes that a trial keeps when it is run again."""
OTHER_DATA = "data.dataset.name"
"""The key of an identity that tells of another kind of data, with which most other keys differ, too."""
FEW = 3
"""Differences that are named then."""
MOST_KILLS = 2
"""Number of kills after which the same choices are not run again."""


def open_storage(path: Path, objectives: Sequence[Objective]) -> optuna.Study:
    """Create or open the SQLite file (write-ahead log).

    Raises StudyError if it is not a study or is damaged, OutputError if the system does not allow writing.
    """

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(path, timeout=BUSY_S, check_same_thread=False)
        harden(connection)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        return connection

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            if not path.is_file():
                raise StudyError(f"{path}: is not a regular file; use another folder (-o output=PATH)")
            check_file(connect())
        with quiet_optuna():
            # The creator function opens the file instead of a URL, because a path may contain any character.
            storage = RDBStorage("sqlite:///study.db", engine_kwargs={"creator": connect})
            try:
                return optuna.create_study(
                    study_name=NAME,
                    storage=storage,
                    directions=[objective.goal for objective in objectives],
                    sampler=RandomSampler(),
                    load_if_exists=True,
                )
            except BaseException:
                storage.engine.dispose()
                raise
    except Exception as error:  # noqa: BLE001  raised again as our own
        raise_own(path, error)


def close_storage(study: optuna.Study) -> None:
    """Close the connections to a study's file."""
    storage: Any = study._storage
    storage.remove_session()
    # Optuna wraps the storage in a cache.
    storage._backend.engine.dispose()


def running_mark(path: Path) -> Path:
    """Return the file that exists next to a study while it is open: a killed search leaves it behind."""
    return path.with_name(f"{path.name}.running")


def identity_of(space: SearchSpace, objectives: Sequence[Objective]) -> dict[str, Any]:
    """Return the part of a study's identity that comes from the space and the objectives."""
    identity: dict[str, Any] = {f"search.space.{key}": domain for key, domain in space.spec.items()}
    identity["search.objectives"] = ", ".join(f"{o.goal} {o.metric}" for o in objectives)
    return identity


def compare(path: Path, known: Mapping[str, Any], asked: Mapping[str, Any]) -> None:
    """Raise StudyError with every difference between two identities, of those of other data with the first few."""
    keys = sorted({key for key in {*known, *asked} if known.get(key, ...) != asked.get(key, ...)})
    if OTHER_DATA in keys:
        keys.sort(key=lambda key: key != OTHER_DATA)
    shown = keys[:FEW] if OTHER_DATA in keys else keys
    differences = [f"  {key}: {_show(known, key)} -> {_show(asked, key)}" for key in shown]
    if len(keys) > len(shown):
        differences.append(f"  and {len(keys) - len(shown)} more")
    if differences:
        raise StudyError(
            "\n".join(
                [
                    f"{path}: holds a different study; its trials cannot be compared with new ones. Differences:",
                    *differences,
                    "use another folder (-o output=PATH), or --fresh to put the old one aside and start anew",
                ]
            )
        )


def _show(mapping: Mapping[str, Any], key: str) -> str:
    return json.dumps(mapping[key], ensure_ascii=False) if key in mapping else "(none)"


def ask_again(study: optuna.Study, space: SearchSpace, killed: bool) -> None:
    """Mark trials that an ended search left running as failed, and enqueue their choices.

    If the search was `killed`, perhaps because of these trials, their choices are run again once; after the second
    kill they stay failed.
    """
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        attributes = trial.user_attrs
        if "duplicate_of" not in attributes and not was_asked(trial, space):
            end_unasked(study, space, trial)
            continue
        reason, params = INTERRUPTED, trial.params
        if "duplicate_of" not in attributes:
            if killed and kills_of(study, space, params) + 1 >= MOST_KILLS:
                reason = KILLED_TWICE
            else:
                # Enqueue the new trial before ending the old one: a kill in between repeats it, but never loses it.
                enqueue_again(study, trial.number, params, attributes)
            if killed:
                study._storage.set_trial_user_attr(trial._trial_id, KILLED, True)
        study._storage.set_trial_user_attr(trial._trial_id, "reason", reason)
        with quiet_optuna():
            study.tell(trial.number, state=TrialState.FAIL)


def ask_again_with_time(study: optuna.Study, space: SearchSpace) -> None:
    """Enqueue the choices of trials that an earlier deadline ended before they had a result, each once.

    Repeats are not among them: which configurations to repeat is decided anew.
    """
    trials = study.get_trials(deepcopy=False)
    retried = {trial.user_attrs.get("retry_of") for trial in trials}
    cut = [
        trial
        for trial in trials
        if is_cut(trial) and trial.number not in retried and "repeat_of" not in trial.user_attrs
    ]
    finished = (TrialState.COMPLETE, TrialState.PRUNED)
    known = {space.canonical_key(trial.params) for trial in trials if cut and trial.state in finished}
    for trial in cut:
        key = space.canonical_key(trial.params)
        if key not in known:
            known.add(key)
            enqueue_again(study, trial.number, trial.params, trial.user_attrs)


def end_unasked(study: optuna.Study, space: SearchSpace, trial: FrozenTrial) -> None:
    """End a trial some of whose choices are not known, because the proposal was interrupted or raised an error.

    The same proposal will be made again; choices that were enqueued are enqueued again.
    """
    given: Params = trial.system_attrs.get("fixed_params") or {}
    if space.contains(given):
        enqueue_again(study, trial.number, given, trial.user_attrs)
    else:
        study._storage.set_trial_user_attr(trial._trial_id, UNASKED, True)
    study._storage.set_trial_user_attr(trial._trial_id, "reason", INTERRUPTED)
    with quiet_optuna():
        study.tell(trial.number, state=TrialState.FAIL)


def kills_of(study: optuna.Study, space: SearchSpace, params: Params) -> int:
    """Return the number of trials with these choices that ended because they, or the search, were killed."""
    key = space.canonical_key(params)
    ended = (t for t in study.get_trials(deepcopy=False, states=(TrialState.FAIL,)) if t.user_attrs.get(KILLED))
    return sum(1 for trial in ended if space.contains(trial.params) and space.canonical_key(trial.params) == key)


def enqueue_again(study: optuna.Study, number: int, params: Params, attributes: Mapping[str, Any]) -> None:
    """Enqueue the choices of trial `number`, which has these attributes, before anything new."""
    enqueue(study, params, {"retry_of": number, **{mark: attributes[mark] for mark in MARKS if mark in attributes}})


def enqueue(study: optuna.Study, params: Params, marks: Mapping[str, Any]) -> None:
    """Enqueue choices before anything new, for a trial with these marks."""
    with quiet_optuna():
        study.enqueue_trial(dict(params), user_attrs=dict(marks))


def waiting_trials(study: optuna.Study, *, repeats: bool | None = None) -> list[FrozenTrial]:
    """Return the enqueued trials that were not asked yet: those that repeat another one, the others, or all."""
    waiting = study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
    return [trial for trial in waiting if repeats is None or ("repeat_of" in trial.user_attrs) is repeats]


def ask_repeat(study: optuna.Study) -> optuna.Trial:
    """Start the first enqueued repeat, which `Study.ask` would do only after all that was enqueued before it."""
    first = waiting_trials(study, repeats=True)[0]
    study._storage.set_trial_state_values(first._trial_id, state=TrialState.RUNNING)
    study._thread_local.cached_all_trials = None
    return optuna.Trial(study, first._trial_id)


def set_mark(study: optuna.Study, number: int, name: str, value: Any) -> None:
    """Set an attribute of a trial that was asked earlier, perhaps by another process."""
    study._storage.set_trial_user_attr(_id_of(study, number), name, value)


def set_intermediate(study: optuna.Study, number: int, epoch: int, value: float) -> None:
    """Record a trial's value after an epoch."""
    study._storage.set_trial_intermediate_value(_id_of(study, number), epoch, value)


def _id_of(study: optuna.Study, number: int) -> int:
    return study._storage.get_trial_id_from_study_id_trial_number(study._study_id, number)
