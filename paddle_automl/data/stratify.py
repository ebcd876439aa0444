"""Dividing items, single or in groups, so that each subset keeps the proportions of classes or labels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from paddle_automl.core.seeds import generator
from paddle_automl.tasks.base import Strata


def iterative(
    counts: np.ndarray, sizes: np.ndarray, fractions: Sequence[float], rng: np.random.Generator
) -> np.ndarray:
    """Return the subset to which each of U units is assigned, int64 ``[U]``.

    Iterative stratification (Sechidis, Tsoumakas and Vlahavas 2011, algorithm 1), for units of any size. `counts`:
    ``[U, K]``, how many items with label k a unit has; `sizes`: ``[U]``, its items; `fractions`: of each subset,
    sum 1. The label with the fewest remaining items comes first; its units, the largest first, go to the subset
    that still needs most items of the label, then most items at all. Unlike in the paper, a label with no more
    units than there are subsets without it goes only to these, so that a rare label reaches as many subsets as
    possible.
    """
    portions = np.asarray(fractions, dtype=np.float64)
    wanted = portions[:, None] * counts.sum(axis=0)
    room = portions * sizes.sum()
    subset = np.full(len(sizes), -1, dtype=np.int64)
    shuffled = rng.permutation(len(sizes))
    has = np.zeros((len(portions), counts.shape[1]), dtype=bool)
    left = counts.sum(axis=0)
    while (left > 0).any():
        label = int(np.argmin(np.where(left > 0, left, np.iinfo(np.int64).max)))
        units = shuffled[(subset[shuffled] < 0) & (counts[shuffled, label] > 0)]
        units = units[np.argsort(-counts[units, label], kind="stable")]
        for position, unit in enumerate(units):
            without = np.flatnonzero(~has[:, label])
            among = without if len(units) - position <= len(without) else np.arange(len(portions))
            chosen = _neediest(among, wanted[:, label], room, rng)
            subset[unit] = chosen
            wanted[chosen] -= counts[unit]
            room[chosen] -= sizes[unit]
            has[chosen] |= counts[unit] > 0
            left = left - counts[unit]
    rest = shuffled[subset[shuffled] < 0]
    for unit in rest[np.argsort(-sizes[rest], kind="stable")]:
        subset[unit] = chosen = _neediest(np.arange(len(portions)), room, room, rng)
        room[chosen] -= sizes[unit]
    return subset


def mended(counts: np.ndarray, sizes: np.ndarray, fractions: Sequence[float], subset: np.ndarray) -> np.ndarray:
    """Return the subsets of units, as of `iterative`, after moves of single units until each has all labels.

    Of the moves with which most labels reach a subset that lacked them, the one comes first after which the sizes
    are nearest to the fractions. Where no move helps, some labels are missing still.
    """
    subset = subset.copy()
    wanted = np.asarray(fractions) * sizes.sum()
    has = counts > 0
    while True:
        holders = np.zeros((len(fractions), counts.shape[1]), dtype=np.int64)
        np.add.at(holders, subset, has)
        lacking = holders == 0
        best: tuple[float, float, int, int] | None = None
        for part in np.flatnonzero(lacking.any(axis=1)).tolist():
            gained = (has & lacking[part]).sum(axis=1)
            lost = (has & (holders[subset] == 1)).sum(axis=1)
            gain = np.where(subset == part, 0, gained - lost)
            for unit in np.flatnonzero((gain == gain.max()) & (gain > 0)).tolist():
                moved = subset.copy()
                moved[unit] = part
                off = np.abs(np.bincount(moved, weights=sizes, minlength=len(fractions)) - wanted).sum()
                move = (-float(gain[unit]), float(off), unit, part)
                best = move if best is None else min(best, move)
        if best is None:
            return subset
        subset[best[2]] = best[3]


def filled(sizes: np.ndarray, fractions: Sequence[float], subset: np.ndarray) -> np.ndarray:
    """Return the subsets of units after one unit was moved into each subset that has none.

    It is the smallest unit of the subset that is furthest above its fraction, among those with several units. Where
    there are fewer units than subsets, some have none still.
    """
    subset = subset.copy()
    wanted = np.asarray(fractions) * sizes.sum()
    for part in range(len(fractions)):
        units = np.bincount(subset, minlength=len(fractions))
        if units[part] or units.max() < 2:
            continue
        surplus = np.bincount(subset, weights=sizes, minlength=len(fractions)) - wanted
        members = np.flatnonzero(subset == int(np.argmax(np.where(units > 1, surplus, -np.inf))))
        subset[members[np.argmin(sizes[members])]] = part
    return subset


def _neediest(among: np.ndarray, first: np.ndarray, second: np.ndarray, rng: np.random.Generator) -> int:
    """Return the subset with the largest `first`, then the largest `second`; ties are broken at random."""
    best = among[first[among] >= first[among].max() - 1e-9]
    best = best[second[best] >= second[best].max() - 1e-9]
    return int(best[0] if len(best) == 1 else rng.choice(best))


def by_class(
    members: np.ndarray, units: np.ndarray, fractions: Sequence[float], rng: np.random.Generator
) -> list[np.ndarray]:
    """Return the items of one class for each of `fractions`, and then the rest.

    `members`: int64 ``[n]``; `units`: ``[n]``, items with the same number stay together. Each count is rounded half
    up to at least one unit, and one unit is left for each later subset. Units that would be more than all of the
    largest subset are part of the rest, and the others are divided in the same fractions; a smaller subset takes
    those that fit into it first.
    """
    ordered, sizes = _shuffled(members, units, rng)
    if len(sizes) <= len(fractions):
        # Too few units for all subsets: in this case copies are separated.
        ordered, sizes = rng.permutation(members), np.ones(len(members), dtype=np.int64)
    aside = _too_large(sizes, fractions)
    of_items = np.repeat(aside, sizes)
    kept, ordered, sizes = ordered[of_items], ordered[~of_items], sizes[~aside]
    unit_of, left = np.repeat(np.arange(len(sizes)), sizes), np.arange(len(sizes))
    chosen: list[np.ndarray] = []
    for position, fraction in enumerate(fractions):
        still_needed = len(fractions) - position - bool(len(kept))
        wanted = _wanted(len(ordered), fraction)
        order = left[np.argsort(sizes[left] > wanted, kind="stable")]
        # Units are added until the count is reached; the last one is included if half of it fits.
        middles = np.cumsum(sizes[order]) - sizes[order] / 2
        count = max(1, int(np.searchsorted(middles, wanted)))
        count = min(count, len(left) - still_needed)
        chosen.append(ordered[np.isin(unit_of, order[:count])])
        left = np.sort(order[count:])
    chosen.append(np.concatenate([ordered[np.isin(unit_of, left)], kept]))
    return chosen


def _wanted(items: int, fraction: float) -> int:
    return max(1, int(items * fraction + 0.5))


def _too_large(sizes: np.ndarray, fractions: Sequence[float]) -> np.ndarray:
    """Return which of U units have more items than the largest subset should, bool ``[U]``.

    From the largest on, each is compared with the subsets of those that are left; one is left for each fraction.
    """
    aside = np.zeros(len(sizes), dtype=bool)
    left = int(sizes.sum())
    if not fractions:
        return aside
    for unit in np.argsort(-sizes, kind="stable")[: len(sizes) - len(fractions)]:
        if sizes[unit] <= _wanted(left, max(fractions)):
            break
        aside[unit] = True
        left -= int(sizes[unit])
    return aside


def folds_of_class(
    members: np.ndarray, units: np.ndarray, sizes: np.ndarray, rng: np.random.Generator
) -> list[np.ndarray]:
    """Return the items of one class for each of K folds; `sizes`, int64 ``[K]``, are the folds' present sizes.

    Each unit goes to the fold with the fewest items of this class, then with the fewest items in total.
    """
    ordered, lengths = _shuffled(members, units, rng)
    if len(lengths) < len(sizes):
        ordered, lengths = rng.permutation(members), np.ones(len(members), dtype=np.int64)
    own = np.zeros(len(sizes), dtype=np.int64)
    total = sizes.copy()
    fold_of_unit = np.empty(len(lengths), dtype=np.int64)
    for unit in np.argsort(-lengths, kind="stable"):
        fold = int(np.lexsort((total, own))[0])
        fold_of_unit[unit] = fold
        own[fold] += lengths[unit]
        total[fold] += lengths[unit]
    fold_of_item = np.repeat(fold_of_unit, lengths)
    return [ordered[fold_of_item == fold] for fold in range(len(sizes))]


def _shuffled(members: np.ndarray, units: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return the members unit by unit, the units in random order, and each unit's size, int64."""
    distinct, position = np.unique(units, return_inverse=True)
    if len(distinct) == len(members):
        return rng.permutation(members), np.ones(len(members), dtype=np.int64)
    sizes = np.bincount(position)
    order = rng.permutation(len(sizes))
    rank = np.empty(len(sizes), dtype=np.int64)
    rank[order] = np.arange(len(sizes))
    return members[np.argsort(rank[position], kind="stable")], sizes[order]


def drawn_items(strata: Strata | None, members: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Return `count` of the items `members`, sorted, in the proportions of their classes, at least one of each.

    All of them where there are not more. Items without single classes are drawn at random.
    """
    if count >= len(members):
        return members
    order = generator(seed, "items").permutation(members)
    if strata is not None and strata.values.ndim == 1:
        classes = strata.values[order]
        rank = np.empty(len(order))
        for label in np.unique(classes):
            own = np.flatnonzero(classes == label)
            rank[own] = np.arange(len(own)) / len(own)
        order = order[np.argsort(rank, kind="stable")]
    return np.sort(order[:count])
