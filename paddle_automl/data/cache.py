"""Decoded pixels stored once and mapped into memory by every process that needs them."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from filelock import FileLock

from paddle_automl.core.files import replacing, write_json
from paddle_automl.data.decoding import DECODING_VERSION, Decoder
from paddle_automl.data.stores import decode_all

log = logging.getLogger(__name__)


def decoded(
    files: Sequence[Path], decoder: Decoder, folder: Path | None, *, keep: bool
) -> tuple[np.ndarray | None, dict[int, str]]:
    """Do as `decode_all`, but store the result in `folder` and take it from there the next time.

    The key is a hash of the decoder and of each file's path, time of change, size and permissions. Pixels are
    mapped, so many processes share them. Processes that want the same result at once wait for the first. A
    folder that cannot be written costs a warning, not the run.
    """
    if folder is None:
        return decode_all(files, decoder, keep=keep)
    key = _key(files, decoder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f"{key}.lock"):
            return _read_or_decode(files, decoder, folder / f"{key}.npy", folder / f"{key}.json", keep)
    except OSError as error:
        log.warning("%s: decoded images cannot be stored (%s); they are decoded anew", folder, error)
        return decode_all(files, decoder, keep=keep)


def _read_or_decode(
    files: Sequence[Path], decoder: Decoder, pixels: Path, failures: Path, keep: bool
) -> tuple[np.ndarray | None, dict[int, str]]:
    if failures.exists() and (pixels.exists() or not keep):
        known = {int(row): reason for row, reason in json.loads(failures.read_text("utf-8")).items()}
        return (np.load(pixels, mmap_mode="r") if keep else None), known
    images, found = decode_all(files, decoder, keep=keep)
    if images is not None:
        with replacing(pixels) as temporary:
            np.save(temporary, images)
        images = np.load(pixels, mmap_mode="r")
    write_json(failures, {str(row): reason for row, reason in found.items()})
    return images, found


def _key(files: Sequence[Path], decoder: Decoder) -> str:
    digest = hashlib.sha256(repr((DECODING_VERSION, decoder)).encode())
    for file in files:
        try:
            status = os.stat(file)
            stamp = f"{status.st_mtime_ns} {status.st_size} {status.st_mode}"
        except OSError:
            stamp = "missing"
        digest.update(os.fsencode(os.path.abspath(file)) + b"\0" + stamp.encode() + b"\0")
    return digest.hexdigest()[:32]
