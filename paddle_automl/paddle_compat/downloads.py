"""The folder in which Paddle keeps downloaded weights of ``paddle.vision``."""

from __future__ import annotations

import logging
import urllib.error
import urllib.request
from pathlib import Path

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
            size = 0
            while block := answer.read(1 << 20):
                size += len(block)
                if size > LARGEST:
                    raise OSError("the answer is larger than any file of weights")
                target.write(block)
            target.flush()
    except urllib.error.URLError as error:
        raise OSError(str(error.reason)) from None
    except ValueError as error:
        raise OSError(str(error)) from None
    return path
