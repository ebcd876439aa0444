"""What runs inside a job's process: its guards, its log, and the messages to the coordinator.

Messages are JSON texts, so that nothing of a job's libraries is needed to read its result.
"""

from __future__ import annotations

import faulthandler
import json
import os
import signal
import sys
import threading
import traceback
from collections.abc import Mapping
from multiprocessing import parent_process
from multiprocessing.connection import Connection, wait
from typing import Any, NoReturn

from paddle_automl.core.errors import AutoMLError
from paddle_automl.search.executors.base import JobFunction

LONGEST_REASON = 300


def run(function: JobFunction, payload: dict[str, Any], connection: Connection, log_file: str) -> None:
    """Call the job's function and send its result, or the reason of its failure."""
    _guard()
    _log_to(log_file)

    def report(epoch: int, metrics: Mapping[str, float]) -> bool:
        _send(connection, {"epoch": int(epoch), "metrics": dict(metrics)})
        try:
            return connection.recv_bytes() == b"go"
        except (EOFError, OSError):
            _end_with_group()

    try:
        message: dict[str, Any] = {"result": dict(function(payload, report))}
    except Exception as error:  # noqa: BLE001 - whatever a trial raises is this trial's failure only
        traceback.print_exc()
        message = {"reason": _reason(error)}
    try:
        _send(connection, message)
    except TypeError as error:
        _send(connection, {"reason": f"the result cannot be sent: {error}"})
    sys.stdout.flush()
    sys.stderr.flush()


def _guard() -> None:
    # Ctrl-C is the coordinator's to answer; a group of its own lets one signal reach all child processes.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(os, "setsid"):
        os.setsid()
    parent = parent_process()
    if parent is not None:
        _signal_group_when_closed(parent.sentinel)
        watch = threading.Thread(target=_watch, args=(parent.sentinel,), name="parent-watch", daemon=True)
        watch.start()


def _signal_group_when_closed(sentinel: int) -> None:
    """Have the kernel end the process group when the coordinator's end of the pipe closes.

    No thread of ours could do so while native code holds the interpreter. SIGIO ends a process that has no
    handler for it.
    """
    try:
        import fcntl
    except ImportError:
        return
    signal.signal(signal.SIGIO, signal.SIG_DFL)
    fcntl.fcntl(sentinel, fcntl.F_SETOWN, -os.getpgrp())
    fcntl.fcntl(sentinel, fcntl.F_SETFL, fcntl.fcntl(sentinel, fcntl.F_GETFL) | os.O_ASYNC)


def _watch(sentinel: int) -> None:
    wait([sentinel])
    _end_with_group()


def _end_with_group() -> NoReturn:
    if hasattr(os, "killpg"):
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


def _log_to(log_file: str) -> None:
    os.makedirs(os.path.dirname(os.path.abspath(log_file)), exist_ok=True)
    handle = os.open(log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    for stream in (1, 2):
        os.dup2(handle, stream)
    os.close(handle)
    # Whatever the locale, a log is UTF-8 and no character can fail.
    sys.stdout = os.fdopen(1, "w", 1, encoding="utf-8", errors="backslashreplace", closefd=False)
    sys.stderr = os.fdopen(2, "w", 1, encoding="utf-8", errors="backslashreplace", closefd=False)
    faulthandler.enable(sys.stderr)


def _send(connection: Connection, message: Mapping[str, Any]) -> None:
    connection.send_bytes(json.dumps(message, default=_plain).encode())


def _plain(value: Any) -> Any:
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
