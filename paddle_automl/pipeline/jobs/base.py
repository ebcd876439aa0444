"""Jobs that are no trials: their errors come back whole, as the errors they are."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from paddle_automl.core import errors
from paddle_automl.core.errors import AutoMLError
from paddle_automl.search.executors.base import Executor, Job, run_job

JobFunction = Callable[[dict[str, Any], Callable[[int, Mapping[str, float]], bool]], dict[str, Any]]
OnReport = Callable[[int, Mapping[str, float]], bool | None]

_ERROR = "error"


def returning_errors(function: JobFunction) -> JobFunction:
    """Wrap a job so that a known error becomes its result: a failed trial keeps one line of it, a command all."""

    @functools.wraps(function)
    def job(payload: dict[str, Any], report: Callable[[int, Mapping[str, float]], bool]) -> dict[str, Any]:
        try:
            return function(payload, report)
        except errors.ConfigError as error:
            return {_ERROR: {"kind": "ConfigError", "text": list(error.issues)}}
        except AutoMLError as error:
            return {_ERROR: {"kind": type(error).__name__, "text": str(error)}}

    return job


def call(
    executor: Executor,
    function: JobFunction,
    payload: Mapping[str, Any],
    log_file: Path,
    on_report: OnReport | None = None,
) -> dict[str, Any]:
    """Run one job and return its result; raises the error that the job met, or TrialError if it died."""
    log_file.parent.mkdir(parents=True, exist_ok=True)
    result = dict(run_job(executor, Job(function, payload, log_file), on_report))
    if _ERROR in result:
        found = result[_ERROR]
        raise getattr(errors, found["kind"])(found["text"])
    return result
