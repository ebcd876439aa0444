"""Logging set-up; called by commands and workers only, never by an import."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from paddle_automl.core.display_text import shown
from paddle_automl.core.runtime import settings_in_words
from paddle_automl.core.streams import complain

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"

TOLD = {"told": True}
"""`extra` of a record that users should see although it is no warning, such as the encoding that was found."""


def is_told(record: logging.LogRecord) -> bool:
    """Return whether users should see a record: warnings, and those that say so."""
    return record.levelno >= logging.WARNING or getattr(record, "told", False)


class _Records:
    """Makes log records; names in those of this package do not control the terminal that a handler writes to."""

    def __init__(self, make: Any) -> None:
        self.make = make

    def __call__(self, name: str, *details: Any, **more: Any) -> logging.LogRecord:
        record: logging.LogRecord = self.make(name, *details, **more)
        if name.partition(".")[0] == "paddle_automl" and record.args:
            record.msg, record.args = "\n".join(map(shown, record.getMessage().split("\n"))), None
        return record


def escape_names() -> None:
    """Escape names of files and classes in all log records of the package (see `shown`); again changes nothing."""
    make = logging.getLogRecordFactory()
    if not isinstance(make, _Records):
        logging.setLogRecordFactory(_Records(make))


class _Sentences(logging.Handler):
    """Shows records that concern the user as sentences, as the commands' own messages."""

    def emit(self, record: logging.LogRecord) -> None:
        if is_told(record):
            complain(record.getMessage())


@contextmanager
def as_sentences() -> Iterator[None]:
    """Show what this process logs for its user as plain sentences; for commands that work by themselves."""
    logger = logging.getLogger("paddle_automl")
    handler, level, propagate = _Sentences(), logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagate


def configure_logging(level: int = logging.INFO) -> None:
    """Send the package's log records to standard error; repeated calls change nothing but the level.

    The first record of a process states its CPU settings.
    """
    escape_names()
    logger = logging.getLogger("paddle_automl")
    logger.setLevel(level)
    if not logger.handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter(FORMAT, datefmt="%H:%M:%S"))
        logger.addHandler(handler)
        logger.propagate = False
        logger.info("%s", settings_in_words())
