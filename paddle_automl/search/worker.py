"""The code inside a job's process on this machine: its guards, its log, and the messages to the coordinator."""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing import parent_process
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, NoReturn

from paddle_automl.core.errors import OutputError
from paddle_automl.core.files import reason_of
from paddle_automl.search.executors.base import Worker
from paddle_automl.search.messages import encoded, failure_of, function_of, outcome_of


@dataclass(frozen=True)
class Slot:
    """The place of a job: device, threads and folder; see `Worker`."""

    device: str
    threads: int
    scratch: Path | None


def run(connection: Connection, slot: Slot, log_file: str) -> None:
    """Receive a job's plugins, target and request, call the function, and send its result or failure."""
    _guard()
    try:
        _log_to(log_file)
    except OSError as error:
        # A log that cannot be written is a fault of the machine, not of the configuration.
        unwritten = OutputError(f"{log_file}: cannot be written: {reason_of(error)}")
        connection.send_bytes(encoded(failure_of(unwritten)))
        return

    planned: dict[str, int] = {}

    def plan(epochs: int) -> None:
        planned["epochs"] = int(epochs)

    def report(epoch: int, metrics: Mapping[str, float]) -> bool:
        connection.send_bytes(encoded({"epoch": int(epoch), "metrics": dict(metrics), **planned}))
        try:
            return connection.recv_bytes() == b"go"
        except (EOFError, OSError):
            _end_with_group()

    def call() -> Any:
        try:
            # Unpickled in this order, because a plugin may define the class of the request.
            _, target, request = connection.recv()
        except EOFError:
            _end_with_group()
        return function_of(target)(request, Worker(slot.device, slot.threads, slot.scratch, report, plan))

    connection.send_bytes(encoded(outcome_of(call)))
    sys.stdout.flush()
    sys.stderr.flush()


def _guard() -> None:
    # The coordinator handles Ctrl-C; with its own process group one signal reaches all child processes.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(os, "setsid"):
        os.setsid()
    parent = parent_process()
    if parent is not None:
        _signal_group_when_closed(parent.sentinel)
        watch = threading.Thread(target=_watch, args=(parent.sentinel,), name="parent-watch", daemon=True)
        watch.start()


def _signal_group_when_closed(sentinel: int) -> None:
    """Let the kernel end the process group when the coordinator's end of the pipe closes.

    A Python thread could not do so while native code holds the interpreter. SIGIO ends a process that has no
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
    # In any locale a log is UTF-8, and every character can be written.
    sys.stdout = os.fdopen(1, "w", 1, encoding="utf-8", errors="backslashreplace", closefd=False)
    sys.stderr = os.fdopen(2, "w", 1, encoding="utf-8", errors="backslashreplace", closefd=False)
    faulthandler.enable(sys.stderr)
