"""Logging set-up; called by commands and workers only, never by an import."""

from __future__ import annotations

import logging
import sys

from paddle_automl.core.runtime import settings_in_words

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def configure_logging(level: int = logging.INFO) -> None:
    """Send the package's log records to standard error; repeated calls change nothing but the level.

    The first record of a process states its CPU settings.
    """
    logger = logging.getLogger("paddle_automl")
    logger.setLevel(level)
    if not logger.handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter(FORMAT, datefmt="%H:%M:%S"))
        logger.addHandler(handler)
        logger.propagate = False
        logger.info("%s", settings_in_words())
