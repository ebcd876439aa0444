"""Reading a study's file without opening it for a search: to inspect it while it is written, or later."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import optuna
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial
from pydantic import ValidationError

from paddle_automl.core.errors import StudyError
from paddle_automl.core.schema import issues_of
from paddle_automl.search.faults import check_file, checked_records, harden, limit_reading, raise_own
from paddle_automl.search.objective import Objective
from paddle_automl.search.quiet import quiet_optuna
from paddle_automl.search.records import History, TrialRecord, was_asked
from paddle_automl.search.storage import NAME
from paddle_automl.space import SearchSpace
from paddle_automl.tasks.metrics.grammar import split_list

SPACE_PREFIX = "search.space."


@dataclass(frozen=True)
class StoredStudy:
    """Content of a study's file: its space, its objectives without limits, and its trials."""

    space: SearchSpace
    objectives: tuple[Objective, ...]
    history: History
    trials: tuple[FrozenTrial, ...] = ()

    @property
    def names(self) -> list[str]:
        """The names of its decisions."""
        return [decision.name for decision in self.space.decisions]

    def records(self, objectives: Sequence[Objective] | None = None) -> list[TrialRecord]:
        """Return its trials whose choices are known, with values of its own or of other objectives."""
        known = [trial for trial in self.trials if was_asked(trial, self.space)]
        return [TrialRecord.from_trial(trial, objectives or self.objectives) for trial in known]


def read_study(path: Path) -> StoredStudy:
    """Return the content of a study's file; raises StudyError if it does not exist, is not a study, or is damaged.

    The file may be untrusted: nothing in it is executed, and reading it has a time limit.
    """
    if not path.is_file():
        raise StudyError(f"{path}: there is no study; give the output folder of a search")

    def connect() -> sqlite3.Connection:
        uri = f"file:{quote(str(path.resolve()))}?mode=ro"
        connection = sqlite3.connect(uri, uri=True, check_same_thread=False)
        harden(connection)
        limit_reading(connection)
        return connection

    try:
        check_file(connect())
        with quiet_optuna():
            return _stored(path, connect)
    except Exception as error:  # noqa: BLE001  raised again as our own
        raise_own(path, error, "cannot read the study")


def _stored(path: Path, connect: Callable[[], sqlite3.Connection]) -> StoredStudy:
    storage = RDBStorage(
        "sqlite:///study.db",
        engine_kwargs={"creator": connect},
        skip_compatibility_check=True,
        skip_table_creation=True,
    )
    try:
        study = optuna.load_study(study_name=NAME, storage=storage)
        identity: dict[str, Any] = study.user_attrs["identity"]
        trials = study.get_trials(deepcopy=False)
    finally:
        storage.remove_session()
        storage.engine.dispose()
    spec = {
        key.removeprefix(SPACE_PREFIX): value for key, value in identity.items() if key.startswith(SPACE_PREFIX)
    }
    objectives = _objectives(path, str(identity["search.objectives"]))
    space = SearchSpace.parse(spec)
    checked_records(trials, objectives, space)
    asked = [trial for trial in trials if was_asked(trial, space)]
    return StoredStudy(space, objectives, History.of(asked, objectives), tuple(trials))


def _objectives(path: Path, text: str) -> tuple[Objective, ...]:
    """Return the objectives of a study's identity: ``maximize accuracy, minimize latency_ms``."""
    pairs = (item.partition(" ") for item in split_list(text))
    try:
        return tuple(Objective.model_validate({"goal": goal, "metric": metric}) for goal, _, metric in pairs)
    except ValidationError as error:
        raise StudyError(
            f"{path}: the study's objectives '{text}' are unknown: {'; '.join(issues_of(error))}; "
            "if a metric is your own, name its plugin under 'plugins'"
        ) from None
