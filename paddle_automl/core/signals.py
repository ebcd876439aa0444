"""Signals that ask a program to end: SIGTERM (docker stop, systemd, Slurm) and SIGHUP are answered as Ctrl-C is."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import parent_process
from typing import Any

ASKING = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))
"""What ends a program beside Ctrl-C, as far as this system has it."""


class Interrupted(KeyboardInterrupt):
    """SIGTERM or SIGHUP arrived; whatever handles Ctrl-C handles it, too."""


class _State:
    received: int | None = None


def note(number: int) -> bool:
    """Remember which signal asked the program to end; return whether it is the first."""
    first = _State.received is None
    if first:
        _State.received = number
    return first


def forget() -> None:
    """Forget what was received: a new command begins."""
    _State.received = None


def exit_code() -> int:
    """Return the exit code after a signal: 130 for Ctrl-C, 143 for SIGTERM, 129 for SIGHUP."""
    return 128 + int(_State.received or signal.SIGINT)


def how() -> str:
    """Return how the program was interrupted, as a message says it."""
    number = _State.received
    return "interrupted" if number in (None, signal.SIGINT) else f"ended by {signal.Signals(int(number or 0)).name}"


def can_handle() -> bool:
    """Return whether handlers can be set here: Python delivers signals to the main thread alone."""
    return threading.current_thread() is threading.main_thread()


@contextmanager
def as_ctrl_c() -> Iterator[None]:
    """Have the first SIGTERM or SIGHUP raise KeyboardInterrupt, as Ctrl-C does; later ones are left unanswered.

    One that this process ignores (as ``nohup`` has it do with SIGHUP) or handles in its own way stays so. Outside
    the main thread nothing changes.
    """
    if can_handle() and signal.getsignal(ASKING[0] if ASKING else signal.SIGINT) is not _raise:
        forget()
    with handling(_raise):
        yield


@contextmanager
def handling(handler: Any, *, ctrl_c: bool = False) -> Iterator[None]:
    """Handle SIGTERM and SIGHUP, with `ctrl_c` SIGINT too, by ``handler(number, frame)`` for a while.

    SIGTERM and SIGHUP are left to a handler that the program has set itself.
    """
    before: dict[int, Any] = {}
    if can_handle():
        # None: set by a library, below Python.
        free = [number for number in ASKING if signal.getsignal(number) in (None, signal.SIG_DFL, _raise)]
        for number in [signal.SIGINT, *free] if ctrl_c else free:
            before[number] = signal.getsignal(number)
            signal.signal(number, handler)
    try:
        yield
    finally:
        for number, current in before.items():
            signal.signal(number, signal.SIG_DFL if current is None else current)


def set_again() -> None:
    """Set the handlers that Python knows of once more, after a library has put its own in their place."""
    if not can_handle():
        return
    for number in (signal.SIGINT, *ASKING):
        current = signal.getsignal(number)
        if current is not None:
            signal.signal(number, current)


def ignore_in_child() -> None:
    """In a process that multiprocessing started, leave the answer to the one that started it, and ends it.

    A system that ends a command asks all processes of its group; the command decides what becomes of their work.
    """
    server = "multiprocessing.forkserver" in " ".join(sys.orig_argv) and sys.argv[:1] == ["-c"]
    if can_handle() and (server or parent_process() is not None):
        for number in ASKING:
            signal.signal(number, signal.SIG_IGN)


def _raise(number: int, frame: Any) -> None:
    del frame
    if note(number):
        raise Interrupted
