"""Targets as data sets provide them, and what splits keep in proportion."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class RawTargets:
    """Targets as a data set provides them, before a task encodes them.

    `kind` says what `values` are: ``classes``: int64 ``[N]``, indices into `names`; ``labels``: uint8 ``[N, K]``, 1
    where label k (`names`) applies; ``numbers``: float64 ``[N, D]``, a column per name. A plugin may define its own
    kind. `names` are Unicode texts, unique.
    """

    kind: str
    values: np.ndarray
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.values)

    def take(self, rows: np.ndarray) -> RawTargets:
        """Return the targets of some rows."""
        return RawTargets(self.kind, self.values[rows], self.names)


@dataclass(frozen=True)
class Strata:
    """What stratified splits keep in proportion: class ids int64 ``[N]``, or labels uint8 ``[N, K]``.

    `names` of the classes or labels are for messages; with `every` each class must have an item in each split.
    """

    values: np.ndarray
    names: tuple[str, ...]
    every: bool = True


def describe_targets(raw: RawTargets) -> str:
    """Return a description of raw targets in words."""
    shown = ", ".join(raw.names[:5]) + (f" and {len(raw.names) - 5} more" if len(raw.names) > 5 else "")
    return f"{raw.kind} ({shown})" if raw.names else raw.kind


def spread(strata: Strata | None, total: int, count: int) -> np.ndarray:
    """Return up to `count` of `total` indices, int64, rising, evenly spread over the classes, not random."""
    if strata is None:
        order: np.ndarray = np.arange(total)
    elif strata.values.ndim == 1:
        order = np.argsort(strata.values, kind="stable")
    else:
        order = np.lexsort(tuple(strata.values.T))
    picks = np.linspace(0, len(order) - 1, min(count, len(order))).round().astype(np.int64)
    return np.sort(order[picks])
