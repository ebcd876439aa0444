"""Splits that depend only on the targets, the groups and the seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from paddle_automl.core.errors import DataError
from paddle_automl.core.seeds import generator
from paddle_automl.data.config import SplitConfig
from paddle_automl.data.samples import SPLITS
from paddle_automl.data.stratify import by_class, filled, folds_of_class, iterative, mended
from paddle_automl.tasks.base import Strata


@dataclass(frozen=True)
class Rows:
    """Facts about all N items before they are split.

    `usable`: bool ``[N]``, False for items that cannot be read. `groups`: int64 ``[N]``, items with the same number
    must stay in one split, with `group_names` for messages; None if there are no groups. `copies`: int64 ``[N]``,
    items with the same number have the same content and are kept together if possible. `word`: the word for one
    item in messages.
    """

    strata: Strata | None
    usable: np.ndarray
    copies: np.ndarray
    groups: np.ndarray | None = None
    group_names: Sequence[str] = ()
    word: str = "item"

    def classes(self) -> np.ndarray | None:
        """Return the class of each item, int64 ``[N]`` (one for all without strata), or None for labels."""
        if self.strata is None:
            return np.zeros(len(self.usable), dtype=np.int64)
        return self.strata.values if self.strata.values.ndim == 1 else None

    def units(self) -> np.ndarray:
        """Return numbers ``[N]``, equal for items that stay together: groups, joined if they share a copy."""
        if self.groups is None:
            return self.copies
        return joined(self.groups, self.copies)


def split_indices(
    rows: Rows, given: Mapping[str, np.ndarray], split: SplitConfig, *, seed: int, folds: int | None = None
) -> dict[str, np.ndarray]:
    """Return sorted indices of the splits train, validation and test.

    A split in `given` is kept; the other fractions are drawn, stratified, from the items that `given` does not
    assign to validation or test. Items that are not usable are left out. Raises DataError that names each class
    with fewer items than needed, also for that many `folds` of what the test leaves, and each group that is in two
    of the given splits.
    """
    given = {name: indices[rows.usable[indices]] for name, indices in given.items()}
    fractions = {
        name: fraction
        for name, fraction in (("validation", split.validation), ("test", split.test))
        if name not in given and fraction > 0
    }
    pool = given["train"] if "train" in given else _rest(rows.usable, given)
    _check_groups(rows, given, pool)
    if folds is not None and "validation" not in given:
        # First, since it asks for more: whoever adds what is missing should not be sent back a second time.
        _check_counts_of_folds(rows, pool, folds, "test" in fractions)
    _check_counts(rows, pool, tuple(fractions))
    splits = _drawn(rows, pool, fractions, generator(seed, "split"))
    for name in ("validation", "test"):
        splits.setdefault(name, np.sort(given[name]) if name in given else np.empty(0, dtype=np.int64))
    return splits


def with_fold(splits: Mapping[str, np.ndarray], pieces: Sequence[np.ndarray], fold: int) -> dict[str, np.ndarray]:
    """Return the splits if one of the folds is the validation split, and the others are for training."""
    train = np.sort(np.concatenate([piece for number, piece in enumerate(pieces) if number != fold]))
    return {"train": train, "validation": pieces[fold], "test": splits["test"]}


def fold_pieces(
    rows: Rows, given: Mapping[str, np.ndarray], splits: Mapping[str, np.ndarray], *, folds: int, seed: int
) -> list[np.ndarray]:
    """Return sorted indices of each of the `folds`, of all items of `splits` but for those of the test split.

    Raises DataError for a validation split in `given`, and for too few items.
    """
    if "validation" in given:
        raise DataError(
            "data.folds: the data set itself defines a validation split, which cross-validation does not use; "
            "leave it out of data.dataset, or set data.folds to null"
        )
    pool = np.sort(np.concatenate([splits["train"], splits["validation"]]))
    _check_folds(rows, pool, folds)
    rng = generator(seed, "folds")
    classes = rows.classes()
    if classes is None or rows.groups is not None:
        return _dealt(rows, pool, [1 / folds] * folds, rng, "folds")
    dealt: list[list[np.ndarray]] = [[] for _ in range(folds)]
    sizes = np.zeros(folds, dtype=np.int64)
    for label in range(int(classes.max(initial=0)) + 1):
        members = pool[classes[pool] == label]
        for number, piece in enumerate(folds_of_class(members, rows.copies[members], sizes, rng)):
            dealt[number].append(piece)
            sizes[number] += len(piece)
    return [np.sort(np.concatenate(piece)) for piece in dealt]


def joined(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return numbers ``[N]`` of the smallest sets that keep equal numbers of `first`, and of `second`, together."""
    parent: dict[int, int] = {}

    def root(node: int) -> int:
        while parent.setdefault(node, node) != node:
            parent[node] = node = parent[parent[node]]
        return node

    _, one = np.unique(first, return_inverse=True)
    _, other = np.unique(second, return_inverse=True)
    for a, b in zip(one.tolist(), (other + len(first)).tolist(), strict=True):
        parent[root(b)] = root(a)
    return np.array([root(node) for node in one.tolist()], dtype=np.int64)


def _drawn(
    rows: Rows, pool: np.ndarray, fractions: Mapping[str, float], rng: np.random.Generator
) -> dict[str, np.ndarray]:
    names = [*fractions, "train"]
    classes = rows.classes()
    if classes is None or rows.groups is not None:
        wanted = [*fractions.values(), 1 - sum(fractions.values())]
        pieces = _dealt(rows, pool, wanted, rng)
        return dict(zip(names, pieces, strict=True))
    chosen: dict[str, list[np.ndarray]] = {name: [np.empty(0, dtype=np.int64)] for name in names}
    for label in range(len(rows.strata.names) if rows.strata else 1):
        members = pool[classes[pool] == label]
        pieces = by_class(members, rows.copies[members], list(fractions.values()), rng)
        for name, piece in zip(names, pieces, strict=True):
            chosen[name].append(piece)
    return {name: np.sort(np.concatenate(pieces)) for name, pieces in chosen.items()}


def _dealt(
    rows: Rows, pool: np.ndarray, fractions: Sequence[float], rng: np.random.Generator, what: str = "splits"
) -> list[np.ndarray]:
    """Return sorted indices of each subset, assigned unit by unit with iterative stratification.

    `what` are the subsets, in messages: splits or folds.
    """
    _, unit = np.unique(rows.units()[pool], return_inverse=True)
    total = int(unit.max(initial=-1)) + 1
    counts = _counts(rows.strata, pool, unit, total)
    sizes = np.bincount(unit, minlength=total)
    subset = iterative(counts, sizes, fractions, rng)
    if rows.groups is not None and rows.strata is not None and rows.strata.every:
        subset = mended(counts, sizes, fractions, subset)
    subset = filled(sizes, fractions, subset)
    pieces = [pool[subset[unit] == number] for number in range(len(fractions))]
    if rows.groups is not None:
        _check_dealt(rows, pieces, what)
    elif total < len(pieces):
        raise DataError(
            f"data.split: {total} different {rows.word}s cannot fill {len(pieces)} splits or folds; add some"
        )
    return [np.sort(piece) for piece in pieces]


def _counts(strata: Strata | None, pool: np.ndarray, unit: np.ndarray, total: int) -> np.ndarray:
    """Return how many items of each class or label each unit has, int64 ``[total, K]``; K is 0 without strata."""
    if strata is None:
        return np.zeros((total, 0), dtype=np.int64)
    counts = np.zeros((total, len(strata.names)), dtype=np.int64)
    if strata.values.ndim == 1:
        np.add.at(counts, (unit, strata.values[pool]), 1)
    else:
        np.add.at(counts, unit, strata.values[pool])
    return counts


def _rest(usable: np.ndarray, given: Mapping[str, np.ndarray]) -> np.ndarray:
    free = usable.copy()
    for indices in given.values():
        free[indices] = False
    return np.flatnonzero(free)


def _check_groups(rows: Rows, given: Mapping[str, np.ndarray], pool: np.ndarray) -> None:
    """Raise DataError if a group is in two splits that the data set defines, or inside and outside of one."""
    if rows.groups is None:
        return
    places = {f"the {name} split": given[name] for name in SPLITS if name in given}
    if "train" not in given:
        places[f"the {rows.word}s outside of the given splits"] = pool
    seen: dict[int, str] = {}
    for place, indices in places.items():
        for group in np.unique(rows.groups[indices]).tolist():
            if group in seen:
                raise DataError(
                    f"data.group: the group '{rows.group_names[group]}' is both in {seen[group]} and in {place}, "
                    f"as the data set defines them; {rows.word}s of one group must be in one split"
                )
            seen[group] = place


def _check_counts(rows: Rows, pool: np.ndarray, drawn: tuple[str, ...]) -> None:
    needed = 1 + len(drawn)
    purpose = "for training" if not drawn else f"one each for training, {' and '.join(drawn)}"
    strata = rows.strata
    if strata is None or strata.values.ndim != 1 or not strata.every:
        if len(pool) < needed:
            raise DataError(
                f"data.split: {len(pool)} readable {rows.word}s are not enough: at least {needed} are needed "
                f"({purpose})"
            )
        return
    short = _short(rows, pool, needed)
    if short:
        raise DataError(
            f"data.split: each class needs at least {needed} readable {rows.word}{'s' if needed > 1 else ''} "
            f"({purpose}), but class {short}; add {rows.word}s or remove the class"
        )


def _check_counts_of_folds(rows: Rows, pool: np.ndarray, folds: int, test: bool) -> None:
    """Raise DataError for classes that have too few items for each fold and for the test split, if it is drawn."""
    strata = rows.strata
    if strata is None or strata.values.ndim != 1 or not strata.every:
        return
    needed = folds + test
    short = _short(rows, pool, needed)
    if short:
        purpose = f"one for each of {folds} folds{' and one for test' if test else ''}"
        fewer = "" if folds == 2 else "fewer folds (-o data.folds=2) or "
        raise DataError(
            f"data.folds: each class needs at least {needed} readable {rows.word}s ({purpose}), but class {short}; "
            f"add {rows.word}s, remove the class, or use {fewer}no folds "
            "(-o data.folds=null)"
        )


def _check_folds(rows: Rows, pool: np.ndarray, folds: int) -> None:
    if len(pool) < folds:
        raise DataError(f"data.folds: {len(pool)} {rows.word}s cannot be divided into {folds} folds; use fewer")
    strata = rows.strata
    short = _short(rows, pool, folds) if strata is not None and strata.values.ndim == 1 and strata.every else ""
    if short:
        raise DataError(
            f"data.folds: each class needs at least {folds} {rows.word}s besides those of the test split, one for "
            f"each fold, but class {short}; use fewer folds, or add {rows.word}s"
        )


def _short(rows: Rows, pool: np.ndarray, needed: int) -> str:
    """Return the classes with fewer than `needed` items, with their counts; empty if there are none."""
    assert rows.strata is not None
    counts = np.bincount(rows.strata.values[pool], minlength=len(rows.strata.names))
    pairs = zip(rows.strata.names, counts, strict=True)
    short = [f"'{name}' has {count}" for name, count in pairs if count < needed]
    return ", ".join(short[:10]) + (f" and {len(short) - 10} more" if len(short) > 10 else "")


def _check_dealt(rows: Rows, pieces: Sequence[np.ndarray], what: str) -> None:
    """Raise DataError if whole groups leave a split or fold empty, or without a class that it needs."""
    fewer = " (-o data.folds=2), or none (-o data.folds=null)" if what == "folds" else ""
    if any(len(piece) == 0 for piece in pieces):
        raise DataError(
            f"data.group: there are too few groups to fill {len(pieces)} {what} with whole groups; "
            f"use a finer group, or fewer {what}{fewer}"
        )
    strata = rows.strata
    if strata is None or strata.values.ndim != 1 or not strata.every:
        return
    pool = np.concatenate(pieces)
    for label, name in enumerate(strata.names):
        if all((strata.values[piece] == label).any() for piece in pieces):
            continue
        groups = len(np.unique(rows.units()[pool[strata.values[pool] == label]]))
        outside = " outside of the test split" if what == "folds" else ""
        raise DataError(
            f"data.group: the class '{name}' has {rows.word}s in {groups} group{'s' if groups > 1 else ''}"
            f"{outside}, which do not reach all {len(pieces)} {what}; each class needs a group for each {what[:-1]}"
            + (f": use fewer folds{fewer}" if fewer else "")
        )
