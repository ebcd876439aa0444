"""Standard streams that a command does not depend on: what it shows is never a reason to stop its work."""

from __future__ import annotations

import io
import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast

from paddle_automl.core.display_text import shown
from paddle_automl.core.errors import OutputError


def prepare_streams() -> None:
    """Make standard output and error usable, whatever the caller of this process did to them.

    One that is closed leads nowhere, so that no file opened later gets its number. A terminal whose encoding
    lacks a character shows an escape instead.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        _fill(number)
        if getattr(sys, name) is None:
            mode = "r" if name == "stdin" else "w"
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115  open until the end
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _fill(number: int) -> None:
    """Let a closed descriptor of a standard stream lead nowhere."""
    try:
        os.fstat(number)
    except OSError:
        opened = os.open(os.devnull, os.O_RDWR)
        if opened != number:
            os.dup2(opened, number)
            os.close(opened)


def complain(text: str) -> None:
    """Write a message to standard error, where that is possible; names in it do not control the terminal."""
    try:
        sys.stderr.write("".join(f"{shown(line)}\n" for line in text.split("\n")))
        sys.stderr.flush()
    except (OSError, ValueError, AttributeError):
        silence(sys.stderr)


def silence(stream: Any) -> None:
    """Let all that was or will be written to a stream of the system lead nowhere, without an error at the end."""
    try:
        number = stream.fileno()
        opened = os.open(os.devnull, os.O_WRONLY)
        os.dup2(opened, number)
        os.close(opened)
    except (OSError, ValueError, AttributeError):
        # It has no descriptor, or is closed: nothing of it is left to be written.
        return


class ReaderGone(Exception):  # noqa: N818  no error: whoever read the output has seen enough
    """Nobody reads a stream any more, as after ``| head``."""


class _Wrapped(io.TextIOBase, ABC):
    """A stream that decides what a failed write means; after one, nothing is written any more."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.broken = False

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """Return the encoding of the stream behind."""
        return getattr(self.stream, "encoding", None) or "utf-8"

    @property
    def errors(self) -> str | None:  # type: ignore[override]
        """Return how the stream behind treats characters that it lacks."""
        return getattr(self.stream, "errors", None)

    def fileno(self) -> int:
        """Return the descriptor of the stream behind; raises OSError where it has none."""
        return self.stream.fileno()

    def isatty(self) -> bool:
        """Return whether it shows on a terminal."""
        try:
            return not self.broken and self.stream.isatty()
        except (OSError, ValueError):
            return False

    def writable(self) -> bool:
        """Return True: `write` can be called at any time."""
        return True

    def write(self, text: str) -> int:
        """Write a text."""
        self._try(lambda: self.stream.write(text))
        return len(text)

    def flush(self) -> None:
        """Hand what was written to the system."""
        self._try(self.stream.flush)

    def _try(self, action: Callable[[], object]) -> None:
        if self.broken:
            return
        try:
            action()
        except (OSError, ValueError) as error:
            self.broken = True
            silence(self.stream)
            self._failed(error)

    @abstractmethod
    def _failed(self, error: OSError | ValueError) -> None: ...


class Display(_Wrapped):
    """A stream for what is merely shown: the first write that fails ends the display, and never the work.

    A failure, but for a reader that went away, is reported on standard error.
    """

    def _failed(self, error: OSError | ValueError) -> None:
        if not isinstance(error, BrokenPipeError):
            complain(f"what is shown cannot be written ({_reason(error)}); the work goes on without it")


class Results(_Wrapped):
    """A stream for what was asked for: a failed write is an OutputError, a reader that went away is ReaderGone."""

    def _failed(self, error: OSError | ValueError) -> None:
        if isinstance(error, BrokenPipeError):
            raise ReaderGone from None
        raise OutputError(f"standard output: cannot be written: {_reason(error)}") from None


@contextmanager
def results() -> Iterator[None]:
    """Have standard output be `Results` for a while."""
    before = sys.stdout
    sys.stdout = cast(TextIO, Results(before))
    try:
        yield
        sys.stdout.flush()
    finally:
        sys.stdout = before


def display(stream: TextIO | None = None) -> TextIO:
    """Return a stream, by default standard output, as a `Display`."""
    stream = stream or sys.stdout
    return cast(TextIO, Display(stream.stream if isinstance(stream, _Wrapped) else stream))


def _reason(error: OSError | ValueError) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
