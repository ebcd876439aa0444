"""The result of a data set: raw targets, and items in memory or sources to read them from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from paddle_automl.core.errors import DataError
from paddle_automl.tasks.base import RawTargets

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Samples:
    """All items of a data set, in an order that depends only on the data.

    Either `items` or `sources` is given. `items`: an array ``[N, ...]`` of raw items in memory (for images uint8
    ``[N, H, W, C]``), or an object array ``[N]``. `sources`: what the input reads, such as paths. `splits`:
    indices, int64, of the splits that the data set itself defines (train, validation, test). `origins`: the place
    where each item is listed (``list.txt:12``), for messages. `groups`: a text per item; items of one group belong
    together. `columns`: further texts per item by name, which can be used as groups.
    """

    targets: RawTargets
    items: np.ndarray | None = None
    sources: tuple[Any, ...] | None = None
    splits: Mapping[str, np.ndarray] = field(default_factory=dict)
    origins: tuple[str, ...] | None = None
    groups: tuple[str, ...] | None = None
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if (self.items is None) == (self.sources is None):
            raise DataError("data.dataset: samples need either items or sources, not both")
        count = len(self.items) if self.items is not None else len(self.sources or ())
        if len(self.targets) != count:
            raise DataError(
                f"data.dataset: {count} items but {len(self.targets)} targets; each item needs one target"
            )
        for name, texts in {"groups": self.groups, **self.columns}.items():
            if texts is not None and len(texts) != count:
                raise DataError(f"data.dataset: {count} items but {len(texts)} values of '{name}'")
        problem = _problem(self.targets)
        if problem:
            row, reason = problem
            raise DataError(f"{self.place(row)}: {reason}")

    def __len__(self) -> int:
        return len(self.targets)

    def place(self, row: int) -> str:
        """Return the place of an item, for messages: its line in a list, its file, or its position."""
        if self.origins is not None and row >= 0:
            return self.origins[row]
        if row < 0 or self.sources is None:
            return "data.dataset" if row < 0 else f"data.dataset: position {row}"
        return str(self.sources[row])


def _problem(targets: RawTargets) -> tuple[int, str] | None:
    """Return the first problem of targets of a known kind: the row (-1 for all) and the reason."""
    values, names = targets.values, targets.names
    if len(set(names)) != len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        return -1, f"names of targets must differ, given twice: {', '.join(twice)}"
    if targets.kind == "classes":
        if values.ndim != 1 or values.dtype.kind not in "iu":
            return -1, f"classes must be integers [N], got {values.dtype} {list(values.shape)}"
        wrong = np.flatnonzero((values < 0) | (values >= len(names)))
        if len(wrong):
            return int(wrong[0]), f"class {values[wrong[0]]}, but classes are from 0 to {len(names) - 1}"
    elif targets.kind in ("labels", "numbers") and values.shape[1:] != (len(names),):
        return -1, f"targets of shape {list(values.shape)}, but there are {len(names)} names of columns"
    elif targets.kind == "labels":
        wrong = np.flatnonzero((values > 1).any(axis=1))
        if len(wrong):
            return int(wrong[0]), "labels must be 0 or 1"
    elif targets.kind == "numbers":
        rows, columns = np.nonzero(~np.isfinite(values))
        if len(rows):
            return int(rows[0]), (
                f"the target '{names[columns[0]]}' is {values[rows[0], columns[0]]}; "
                "every item needs a finite number: correct the row or remove it"
            )
    return None
