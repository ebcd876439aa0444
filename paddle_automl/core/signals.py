"""Signals that ask a program to end: SIGTERM (docker stop, systemd, Slurm) and SIGHUP are handled like Ctrl-C."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import parent_process
from typing import Any

ASKING = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))
"""The signals besides SIGINT (Ctrl-C) that ask a program to end; Windows has no SIGHUP."""


class Interrupted(KeyboardInterrupt):
    """SIGTERM or SIGHUP arrived; code that handles KeyboardInterrupt (Ctrl-C) handles this too."""


class _State:
    received: int | None = None


def note(number: int) -> bool:
    """Record a signal that asks the program to end; return whether it is the first. Only the first is kept."""
    first = _State.received is None
    if first:
        _State.received = number
    return first


def forget() -> None:
    """Clear the recorded signal, at the start of a new command."""
    _State.received = None


def exit_code() -> int:
    """Return the exit code after a signal: 130 for Ctrl-C, 143 for SIGTERM, 129 for SIGHUP."""
    return 128 + int(_State.received or signal.SIGINT)


def how() -> str:
    """Return how the program was interrupted, to begin a message: "interrupted" or "ended by SIGTERM"."""
    number = _State.received
    return "interrupted" if number in (None, signal.SIGINT) else f"ended by {signal.Signals(int(number or 0)).name}"


def caused(error: BaseException) -> bool:
    """Return whether an error stems from an interrupt.

    A library in C that is being loaded, such as Paddle's, turns the interrupt into an ImportError.
    """
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, KeyboardInterrupt):
            return True
        seen = seen.__cause__ or seen.__context__
    return False


def can_handle() -> bool:
    """Return whether this thread can set signal handlers: in Python only the main thread can."""
    return threading.current_thread() is threading.main_thread()


@contextmanager
def as_ctrl_c() -> Iterator[None]:
    """Make the first SIGTERM or SIGHUP raise KeyboardInterrupt, as Ctrl-C does; ignore later ones.

    A signal that the process ignores already (SIGHUP under ``nohup``), or that the program handles itself, is not
    changed. Outside the main thread this does nothing.
    """
    if can_handle() and signal.getsignal(ASKING[0] if ASKING else signal.SIGINT) is not _raise:
        forget()
    with handling(_raise):
        yield


@contextmanager
def handling(handler: Any, *, ctrl_c: bool = False) -> Iterator[None]:
    """Handle SIGTERM and SIGHUP, with `ctrl_c` also SIGINT, by ``handler(number, frame)`` during the context.

    Where the program has set its own handler for SIGTERM or SIGHUP, that handler stays.
    """
    before: dict[int, Any] = {}
    if can_handle():
        # getsignal returns None for a handler that a library has set in C.
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
    """Install the handlers known to Python again, after a library has replaced them by its own in C."""
    if not can_handle():
        return
    for number in (signal.SIGINT, *ASKING):
        current = signal.getsignal(number)
        if current is not None:
            signal.signal(number, current)


def ignore_in_child() -> None:
    """Ignore SIGTERM and SIGHUP in a process that multiprocessing started: its parent process ends it.

    The system sends such a signal to all processes of a command at once. Only the command itself reacts, so that it
    can save the results of its child processes first.
    """
    server = "multiprocessing.forkserver" in " ".join(sys.orig_argv) and sys.argv[:1] == ["-c"]
    if can_handle() and (server or parent_process() is not None):
        for number in ASKING:
            signal.signal(number, signal.SIG_IGN)


def _raise(number: int, frame: Any) -> None:
    del frame
    if note(number):
        raise Interrupted
