"""The folder in which Paddle keeps downloaded weights of ``paddle.vision``."""

from __future__ import annotations

import logging
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.client import HTTPException
from pathlib import Path
from typing import Any

from paddle_automl.core.files import replacing

TIMEOUT_S = 10.0
"""Seconds without an answer after which a download is given up."""
LARGEST = 1 << 30
"""Most bytes of a file of weights; the largest of ``paddle.vision`` has 575 MB."""
logger = logging.getLogger(__name__)


def weights_folder() -> Path:
    """Return the folder, which Paddle derives from the home folder when it is imported."""
    from paddle.utils import download

    return Path(download.WEIGHTS_HOME)


def cached_weights(url: str) -> Path:
    """Return the path of the file of weights from this address; it may not exist."""
    return weights_folder() / url.rpartition("/")[2]


def downloaded_weights(url: str) -> Path:
    """Fetch a file of weights from this address into the folder and return its path; raises OSError.

    Paddle's own downloader tries three times and hides the reason; it also replaces a file in several steps.
    """
    path = cached_weights(url)
    logger.info("downloading %s", url)
    try:
        with (
            urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer,
            replacing(path) as temporary,
            open(temporary, "wb") as target,
        ):
            for block in _blocks(answer):
                target.write(block)
            target.flush()
    except urllib.error.URLError as error:
        raise OSError(str(error.reason)) from None
    except (_BrokenError, HTTPException, ValueError) as error:
        raise OSError(str(error) or type(error).__name__) from None
    return path


class _BrokenError(Exception):
    """A transfer broke off. No OSError, which `replacing` would take for a fault of the disk."""


def _blocks(answer: Any) -> Iterator[bytes]:
    """Yield the content of a server's answer; raises _BrokenError unless it is complete."""
    size, stated = 0, answer.headers.get("Content-Length")
    try:
        while block := answer.read(1 << 20):
            size += len(block)
            if size > LARGEST:
                raise _BrokenError("the answer is larger than any file of weights")
            yield block
    except OSError as error:
        raise _BrokenError(str(error) or type(error).__name__) from None
    if stated is not None and size != int(stated):
        # A connection that closes early is no error of its own.
        raise _BrokenError(f"the connection was closed after {size:,} of {int(stated):,} bytes")
