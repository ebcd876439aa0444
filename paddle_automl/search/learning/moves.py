"""Small changes of rows, for edits, mutations and local search."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from paddle_automl.search.learning.columns import Array, Column, Indices
from paddle_automl.search.learning.encoding import Encoding
from paddle_automl.search.learning.observations import Observations

TRIES = 20
"""Most mutations before a proposal is drawn at random."""
ENDS_LISTED = 64
"""Grids up to this size move to neighbouring values, larger ones by random steps."""


def mutate(
    encoding: Encoding,
    rows: Array,
    counts: Indices,
    sigmas: Array,
    rng: np.random.Generator,
    redraw: float = 0.0,
) -> Array:
    """Return each row [N, D] with `counts` [N] of its active decisions changed.

    A choice gets another option. A number takes a Gaussian step of `sigmas` [N] in units of its range, at least to
    its neighbour; with probability `redraw` it is drawn again.
    """
    active = encoding.active(rows)
    order = np.where(active, rng.random(rows.shape), np.inf)
    order[:, np.setdiff1d(np.arange(encoding.width), encoding.free)] = np.inf
    places = np.minimum(counts, np.isfinite(order).sum(axis=1))
    limits = np.sort(order, axis=1)[np.arange(len(rows)), np.maximum(places, 1) - 1]
    chosen = (order <= limits[:, None]) & np.isfinite(order) & (places > 0)[:, None]
    changed = rows.copy()
    for j in encoding.free:
        which = np.flatnonzero(chosen[:, j])
        if len(which):
            changed[which, j] = _changed(encoding.columns[j], rows[which, j], sigmas[which], rng, redraw)
    return encoding.settle(changed, active, rng)


def _changed(column: Column, old: Array, sigmas: Array, rng: np.random.Generator, redraw: float) -> Array:
    if column.category:
        other = rng.integers((column.size or 1) - 1, size=len(old))
        return (other + (other >= old)).astype(float)
    new = np.clip(old + sigmas * rng.normal(size=len(old)), 0.0, 1.0)
    if redraw:
        new = np.where(rng.random(len(old)) < redraw, rng.random(len(old)), new)
    if column.positions is None or column.size is None:
        return new
    before, after = column.index(old), column.index(new)
    up = np.where(rng.random(len(old)) < 0.5, 1, -1)
    up = np.where(before == 0, 1, np.where(before == column.size - 1, -1, up))
    return column.of_index(np.where(after == before, before + up, after))


def untried_mutation(
    encoding: Encoding,
    parent: Array,
    seen: Observations,
    rng: np.random.Generator,
    *,
    count: int,
    sigma: float,
    redraw: float = 0.0,
) -> Array | None:
    """Return the first untried row of up to 20 successive mutations; None if all were tried."""
    row = parent[None]
    for _ in range(TRIES):
        row = mutate(encoding, row, np.array([count]), np.array([sigma]), rng, redraw)
        if encoding.keys(row)[0] not in seen.seen:
            return row[0]
    return None


def neighbours(
    encoding: Encoding, rows: Array, rng: np.random.Generator, scales: Sequence[float]
) -> tuple[Array, Indices]:
    """Return neighbours [M, D] of the given rows [N, D], and the number of neighbours of each [N].

    They differ in one decision, and some in all numbers at once. Choices: every other option. Grids: the two
    next values on each side and a random one. Real numbers: a step of each scale, up and down.
    """
    active = encoding.active(rows)
    found: list[Array] = []
    for row, on in zip(rows, active, strict=True):
        changes: list[tuple[int | Indices, float | Array]] = []
        numbers = []
        for j in encoding.free:
            if on[j]:
                column = encoding.columns[j]
                changes.extend((int(j), value) for value in _around(column, float(row[j]), rng, scales))
                if not column.category:
                    numbers.append(j)
        if len(numbers) > 1:
            which = np.array(numbers)
            for scale in scales:
                for _ in range(4):
                    changes.append((which, np.clip(row[which] + scale * rng.normal(size=len(which)), 0.0, 1.0)))
        near = np.tile(row, (max(1, len(changes)), 1))
        for place, (columns, value) in enumerate(changes):
            near[place, columns] = value
        found.append(near)
    counts = np.array([len(near) for near in found])
    return encoding.settle(np.vstack(found), np.repeat(active, counts, axis=0), rng), counts


def _around(column: Column, here: float, rng: np.random.Generator, scales: Sequence[float]) -> list[float]:
    """Return the coordinates near `here`."""
    if column.category:
        return [float(option) for option in range(column.size or 1) if option != here]
    if column.positions is None or len(column.positions) > ENDS_LISTED:
        steps = [sign * scale * 2.0 * float(rng.random()) for scale in scales for sign in (-1, 1)]
        return [min(1.0, max(0.0, here + step)) for step in steps]
    index, count = int(column.index(np.array([here]))[0]), len(column.positions)
    near = {index - 2, index - 1, index + 1, index + 2, int(rng.integers(count))} - {index}
    return [float(column.positions[other]) for other in sorted(near) if 0 <= other < count]
