"""Messages about the end of a job from a worker to the executor: plain values, sent as JSON.

Reading a result does not need the libraries of the job.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import traceback
from collections.abc import Callable, Mapping
from typing import Any

from paddle_automl.core import errors
from paddle_automl.core.errors import AutoMLError, ConfigError
from paddle_automl.core.machine_faults import is_machine_fault
from paddle_automl.core.schema import Section
from paddle_automl.search.executors.base import Failed, Finished, Worker

LONGEST_REASON = 300


def function_of(target: str) -> Callable[[Any, Worker], Any]:
    """Return the function that a job's target names, ``package.module:function``."""
    module, _, name = target.partition(":")
    found: Any = sys.modules.get(module) or importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    function: Callable[[Any, Worker], Any] = found
    return function


def outcome_of(call: Callable[[], Any]) -> dict[str, Any]:
    """Return the message about a job's end: its ``result``, or the ``reason`` and ``error`` of its failure.

    The traceback of a failure goes to standard error, the job's log.
    """
    try:
        return {"result": _plain(call())}
    except Exception as error:  # noqa: BLE001 - any exception of a job is only this job's failure
        traceback.print_exc()
        return failure_of(error)


def failure_of(error: Exception) -> dict[str, Any]:
    """Return the message of a failure: a sentence, its cause, and class and text of an error of the package."""
    message: dict[str, Any] = {"reason": _reason(error), "machine": is_machine_fault(error)}
    if isinstance(error, AutoMLError):
        # An error class of a plugin is replaced by its nearest base class in this package.
        kind = next(cls.__name__ for cls in type(error).__mro__ if getattr(errors, cls.__name__, None) is cls)
        message["error"] = {
            "kind": kind,
            "text": list(error.issues) if isinstance(error, ConfigError) else str(error),
        }
    return message


def event_of(id: int, message: Mapping[str, Any]) -> Finished | Failed:
    """Return the event of a message made by `outcome_of`."""
    if "result" in message:
        return Finished(id, message["result"])
    known = message.get("error")
    error = getattr(errors, known["kind"])(known["text"]) if known else None
    return Failed(id, message["reason"], error, "machine" if message.get("machine") else "job")


def encoded(message: Mapping[str, Any]) -> bytes:
    """Return a message as JSON; a result that JSON cannot represent becomes a failure."""
    try:
        return json.dumps(message, default=_as_plain).encode()
    except (TypeError, ValueError) as error:
        return json.dumps({"reason": f"the result cannot be sent: {error}"}).encode()


def _plain(result: Any) -> dict[str, Any]:
    if isinstance(result, Section):
        return result.model_dump(mode="json")
    if isinstance(result, Mapping):
        return dict(result)
    raise TypeError(f"a job returns a Section or a mapping, not {type(result).__name__}")


def _as_plain(value: Any) -> Any:
    if hasattr(value, "item"):
        return value.item()
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    raise TypeError(f"{type(value).__name__} is not a plain value")


def _reason(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return "out of memory"
    lines = str(error).strip().splitlines()
    text = lines[0] if lines else ""
    if not isinstance(error, AutoMLError):
        text = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return text[:LONGEST_REASON]
