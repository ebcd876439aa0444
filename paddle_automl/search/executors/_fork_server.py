"""The fork server from which jobs are forked, and starting processes without the main script."""

from __future__ import annotations

import contextlib
import multiprocessing
import sys
import time
from collections.abc import Iterator, Sequence
from multiprocessing import forkserver
from typing import Any

import psutil

SERVER_GONE = 255
"""Exit code that multiprocessing gives to a process whose fork server is gone."""
_ENDING_S = 1.0
"""How long an ending process may remain visible."""


def start_fork_server(preload: Sequence[str]) -> bool:
    """Start the fork server for jobs if it is not running; return whether this system has one.

    It starts importing at once, while the caller still prepares the first job.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return False
    multiprocessing.get_context("forkserver").set_forkserver_preload(list(preload))
    forkserver.ensure_running()
    return True


def fork_server() -> int | None:
    """Return the process id of the fork server, or None if there is none."""
    number: int | None = getattr(forkserver._forkserver, "_forkserver_pid", None)
    return number


def is_gone(number: int) -> bool:
    """Return whether a process has ended or is ending: its pipes close a moment before it is gone."""
    until = time.monotonic() + _ENDING_S
    while time.monotonic() < until:
        try:
            if psutil.Process(number).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.Error:
            return True
        time.sleep(0.02)
    return False


@contextlib.contextmanager
def without_main(hide: bool) -> Iterator[None]:
    """Keep new processes from running the caller's script again, as needed for notebooks and plain scripts."""
    main = sys.modules.get("__main__")
    if main is None or not hide:
        yield
        return
    kept: dict[str, Any] = {name: vars(main)[name] for name in ("__spec__", "__file__") if name in vars(main)}
    main.__spec__ = None
    vars(main).pop("__file__", None)
    try:
        yield
    finally:
        vars(main).update(kept)
