"""Files of features: written by one process at a time, whole or in parts that several workers compute."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from filelock import FileLock

from paddle_automl.core.files import replacing


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Let others that want to compute `file` wait."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(file.with_suffix(".lock")):
        yield


def save(file: Path, values: np.ndarray) -> None:
    """Write an array, so that the file is whole or not there."""
    with replacing(file, durable=False) as temporary, open(temporary, "wb") as target:
        np.save(target, values)


def part_of(file: Path, part: tuple[int, int]) -> Path:
    """Return the file of a part, ``(index, number of parts)``, of what `file` will hold."""
    return file.with_name(f"{file.stem}.part-{part[0]}-{part[1]}.npy")


@contextmanager
def parts_of(file: Path) -> Iterator[list[Path]]:
    """Give the parts of `file` in their order, none unless they are all stored; delete all parts afterwards.

    Some may be of a search that was ended, and of another number of workers.
    """
    found = list(file.parent.glob(f"{file.stem}.part-*-*.npy"))
    counts = {int(path.stem.rpartition("-")[2]) for path in found}
    wholes = ([part_of(file, (index, count)) for index in range(count)] for count in counts)
    try:
        yield next((parts for parts in wholes if set(parts) <= set(found)), [])
    finally:
        for path in found:
            path.unlink(missing_ok=True)
