"""The answers of a cross-validation, each by the network that has not learned from the item."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from paddle_automl.core.errors import DataError
from paddle_automl.core.files import replacing
from paddle_automl.data.array_files import open_npz


def write_answers(file: Path, folds: Iterable[tuple[np.ndarray, np.ndarray | None]]) -> None:
    """Write the outputs ``[n, K]`` of each fold with the indices ``[n]`` of its items in the whole data set.

    Nothing is written if they are not known for each fold.
    """
    given = list(folds)
    found = [(indices, values) for indices, values in given if values is not None]
    if not found or len(found) < len(given):
        return
    rows = np.concatenate([indices for indices, _ in found])
    outputs = np.concatenate([values for _, values in found])
    order = np.argsort(rows, kind="stable")
    with replacing(file) as temporary, open(temporary, "wb") as stream:
        np.savez(stream, rows=rows[order].astype(np.int64), outputs=outputs[order].astype(np.float32))


def read_answers(file: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return the indices ``[n]`` of the items of all folds, ascending, and the outputs for them ``[n, K]``.

    Raises DataError if there are none, or if the file is damaged.
    """
    with open_npz(file) as archive:
        missing = {"rows", "outputs"} - set(archive.keys)
        if missing:
            raise DataError(f"{file}: lacks the array '{min(missing)}'; train the run again")
        rows, outputs = archive.array("rows"), archive.array("outputs")
    if rows.ndim != 1 or rows.dtype != np.int64 or outputs.ndim != 2 or len(rows) != len(outputs):
        raise DataError(f"{file}: is damaged: answers {list(outputs.shape)} for items {list(rows.shape)}")
    return rows, outputs
