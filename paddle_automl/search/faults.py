"""Faults of a study's file: errors of SQLite and Optuna become errors of this package; damaged content.

A fault of the machine (a full disk, an I/O error, a file without write permission) is an OutputError, and the study
stays intact. Anything else that makes the file unreadable is a StudyError.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import wraps
from pathlib import Path
from typing import Any, NoReturn, ParamSpec, TypeVar

from optuna.exceptions import StorageInternalError
from optuna.storages._rdb.models import BaseModel
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from paddle_automl.core.errors import AutoMLError, OutputError, StudyError
from paddle_automl.core.files import reason_of
from paddle_automl.search.objective import Objective
from paddle_automl.search.records import TrialRecord, checked_attributes
from paddle_automl.space import SearchSpace

LONGEST_READING_S = 60.0
"""Longest time to read a study's file; a real one takes well below a second."""
STEPS = 100_000
"""Instructions of SQLite between two checks of the time."""
KEPT = "finished trials are kept"
_MACHINE = {
    "database or disk is full": f"no space left on the disk; {KEPT}: make room and run the same command again",
    "disk I/O error": (
        f"the disk reports an I/O error (a limit of space or file size, or a hardware fault); {KEPT}: "
        "fix that and run the same command again"
    ),
    "attempt to write a readonly database": f"is not writable; {KEPT}: allow writing, or use -o output=PATH",
    "unable to open database file": (
        "cannot be opened for writing; check the permissions, and the limit of open files (ulimit -n)"
    ),
}
_LOCKED = "database is locked"


def raise_own(path: Path, error: BaseException, what: str = "cannot open the study") -> NoReturn:
    """Raise the package's error for an error of SQLite, SQLAlchemy, Optuna or the system about a study."""
    own = _own(path, error, what) if isinstance(error, Exception) else error
    if own is error:
        raise own
    raise own from error


def _own(path: Path, error: Exception, what: str) -> AutoMLError:
    for cause in _chain(error):
        if isinstance(cause, AutoMLError):
            return cause if str(cause).startswith(str(path)) else _damaged(path, what, str(cause))
        if isinstance(cause, sqlite3.Error):
            text = str(cause)
            for sign, meaning in _MACHINE.items():
                if sign in text:
                    return OutputError(f"{path}: {meaning}")
            if _LOCKED in text:
                return StudyError(f"{path}: another program is using the study; close it and try again")
            if text == "interrupted":
                text = f"reading it took longer than {LONGEST_READING_S:g} s"
            return _damaged(path, what, text)
        if isinstance(cause, OSError):
            return OutputError(f"{path}: cannot be written: {reason_of(cause)}")
    return _damaged(path, what, f"{type(error).__name__}: {error}" if str(error) else type(error).__name__)


def _damaged(path: Path, what: str, reason: str) -> StudyError:
    short = reason if len(reason) <= 300 else f"{reason[:300]}..."
    return StudyError(f"{path}: {what}: {short}; move the file away, or use --fresh to start anew")


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and its causes, the innermost first."""
    seen: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in seen:
        seen.append(current)
        current = getattr(current, "orig", None) or current.__cause__ or current.__context__
    return reversed(seen)


P = ParamSpec("P")
R = TypeVar("R")


def storing(method: Callable[P, R]) -> Callable[P, R]:
    """Make a study's method raise the package's errors for errors of the storage, such as a full disk.

    Other errors, such as those of a controller, pass unchanged. The study has its path in `_path`.
    """

    @wraps(method)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return method(*args, **kwargs)
        except (StorageInternalError, SQLAlchemyError, sqlite3.Error) as error:
            study: Any = args[0]
            raise_own(study._path, error, "cannot write the study")

    return guarded


def harden(connection: sqlite3.Connection) -> None:
    """Make SQLite check what it reads, and never run code from the file."""
    connection.execute("PRAGMA trusted_schema=OFF")
    connection.execute("PRAGMA cell_size_check=ON")


def limit_reading(connection: sqlite3.Connection) -> None:
    """Make reading fail after a time limit, independent of the content of the file."""
    end = time.monotonic() + LONGEST_READING_S
    connection.set_progress_handler(lambda: time.monotonic() > end, STEPS)


def check_file(connection: sqlite3.Connection) -> None:
    """Raise StudyError or an error of SQLite if a file is damaged or has more than tables and indexes."""
    with closing(connection):
        for kind, name, text in connection.execute("SELECT type, name, sql FROM sqlite_master").fetchall():
            if kind not in ("table", "index") or "VIRTUAL" in str(text).upper() or "GENERATED" in str(text).upper():
                raise StudyError(f"it holds the {kind} '{name}', which is not part of a study")
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type='table'")}
        missing = set(BaseModel.metadata.tables) - tables
        if "studies" in tables and missing and connection.execute("SELECT count(*) FROM studies").fetchone()[0]:
            raise StudyError(f"the table {min(missing)} is missing")
        found = connection.execute("PRAGMA quick_check(1)").fetchone()
        if found is None or found[0] != "ok":
            raise StudyError(str(found[0]) if found else "it cannot be checked")


def checked_records(
    trials: Sequence[FrozenTrial], objectives: Sequence[Objective], space: SearchSpace
) -> list[TrialRecord]:
    """Return the records of all asked trials; raises StudyError for one that no search can have written."""
    records = []
    for position, trial in enumerate(trials):
        try:
            if trial.number != position:
                raise ValueError(f"it is at the position of trial {position}")
            _check(trial, len(trials), len(objectives), space)
            if trial.state != TrialState.WAITING:
                records.append(TrialRecord.from_trial(trial, objectives))
        except (ValueError, TypeError, KeyError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise StudyError(f"trial {trial.number} is damaged: {reason}") from error
    return records


def _check(trial: FrozenTrial, trials: int, objectives: int, space: SearchSpace) -> None:
    known = checked_attributes(trial)
    for other in (known.duplicate_of, known.retry_of, known.repeat_of):
        if other is not None and not 0 <= other < trials:
            raise ValueError(f"it refers to trial {other}, which does not exist")
    if trial.state == TrialState.COMPLETE and len(trial.values or ()) != objectives:
        raise ValueError(f"it has {len(trial.values or ())} values for {objectives} objectives")
    for name, value in trial.params.items():
        if trial.distributions[name] != space.distributions.get(name) or not space[name].domain.contains(value):
            raise ValueError(f"its choice {name}={value!r} does not belong to the search space")
    if trial.state in (TrialState.COMPLETE, TrialState.PRUNED) and not space.contains(trial.params):
        raise ValueError(f"its choices {trial.params} do not match the decisions of the search space")
