"""Standard streams whose failure does not stop a command: work goes on if the display cannot be written."""

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
    """Make the standard streams usable even if the caller of this process closed them.

    A closed stream is connected to the null device; otherwise a file that is opened later would get its descriptor.
    A character that the encoding of the terminal lacks is shown as an escape sequence.
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
    """Connect the descriptor of a standard stream to the null device if it is closed."""
    try:
        os.fstat(number)
    except OSError:
        opened = os.open(os.devnull, os.O_RDWR)
        if opened != number:
            os.dup2(opened, number)
            os.close(opened)


def complain(text: str) -> None:
    """Write a message to standard error if possible; control characters in it are shown as escape sequences."""
    try:
        sys.stderr.write("".join(f"{shown(line)}\n" for line in text.split("\n")))
        sys.stderr.flush()
    except (OSError, ValueError, AttributeError):
        silence(sys.stderr)


def silence(stream: Any) -> None:
    """Connect a stream to the null device: buffered and later output is discarded without errors."""
    try:
        number = stream.fileno()
        opened = os.open(os.devnull, os.O_WRONLY)
        os.dup2(opened, number)
        os.close(opened)
    except (OSError, ValueError, AttributeError):
        # It has no descriptor, or is closed: nothing is left to discard.
        return


class ReaderGone(Exception):  # noqa: N818  not an error: the reader needs no more output
    """The program that reads the output has ended, as in ``| head``."""


class _Wrapped(io.TextIOBase, ABC):
    """A stream around another one; subclasses define what a failed write does. After one, output is discarded."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.broken = False

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """Return the encoding of the wrapped stream."""
        return getattr(self.stream, "encoding", None) or "utf-8"

    @property
    def errors(self) -> str | None:  # type: ignore[override]
        """Return how the wrapped stream handles characters that its encoding lacks."""
        return getattr(self.stream, "errors", None)

    def fileno(self) -> int:
        """Return the descriptor of the wrapped stream; raises OSError if it has none."""
        return self.stream.fileno()

    def isatty(self) -> bool:
        """Return whether the output goes to a terminal."""
        try:
            return not self.broken and self.stream.isatty()
        except (OSError, ValueError):
            return False

    def writable(self) -> bool:
        """Return True: `write` can be called at any time."""
        return True

    def write(self, text: str) -> int:
        """Write a text; return its length."""
        self._try(lambda: self.stream.write(text))
        return len(text)

    def flush(self) -> None:
        """Write what is buffered."""
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
    """A stream for progress and other display: after a failed write nothing more is shown, and the work goes on.

    The failure is reported on standard error, except a closed pipe (``| head``).
    """

    def _failed(self, error: OSError | ValueError) -> None:
        if not isinstance(error, BrokenPipeError):
            complain(f"the display cannot be written ({_reason(error)}); the work goes on without it")


class Results(_Wrapped):
    """A stream for the results of a command: a failed write raises OutputError, a closed pipe ReaderGone."""

    def _failed(self, error: OSError | ValueError) -> None:
        if isinstance(error, BrokenPipeError):
            raise ReaderGone from None
        raise OutputError(f"standard output: cannot be written: {_reason(error)}") from None


@contextmanager
def results() -> Iterator[None]:
    """Replace standard output by `Results` during the context."""
    before = sys.stdout
    sys.stdout = cast(TextIO, Results(before))
    try:
        yield
        sys.stdout.flush()
    finally:
        sys.stdout = before


def display(stream: TextIO | None = None) -> TextIO:
    """Return a `Display` on a stream, by default standard output."""
    stream = stream or sys.stdout
    return cast(TextIO, Display(stream.stream if isinstance(stream, _Wrapped) else stream))


def _reason(error: OSError | ValueError) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
