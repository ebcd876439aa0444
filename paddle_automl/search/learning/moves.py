"""Small changes of rows, for edits, mutations and local search."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from paddle_automl.search.learning.columns import Array, Column, Indices
from paddle_automl.search.learning.encoding import Encoding, Mask
from paddle_automl.search.learning.observations import Observations

TRIES = 20
"""Most mutations before a proposal is drawn at random."""
TOGETHER = 4
"""Neighbours of each scale that differ in all numbers at once."""
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
    """Return neighbours [M, D] of the given rows [N, D], those of the first row first, and each row's number [N].

    They differ in one decision, and some in all numbers at once. Choices: every other option. Grids: the two
    next values on each side and a random one. Real numbers: a step of each scale, up and down. A row without
    any is its own neighbour.
    """
    active = encoding.active(rows)
    parents: list[Indices] = []
    found: list[Array] = []
    for j in encoding.free:
        which = np.flatnonzero(active[:, j])
        values, valid = _around(encoding.columns[j], rows[which, j], rng, scales)
        near = np.repeat(rows[which], valid.sum(axis=1), axis=0)
        near[:, j] = values[valid]
        parents.append(np.repeat(which, valid.sum(axis=1)))
        found.append(near)
    numbers = active & ~encoding.categories & np.isin(np.arange(encoding.width), encoding.free)
    several = np.repeat(np.flatnonzero(numbers.sum(axis=1) > 1), len(scales) * TOGETHER)
    sigmas = np.resize(np.repeat(scales, TOGETHER), len(several))
    moved = np.clip(rows[several] + sigmas[:, None] * rng.normal(size=(len(several), encoding.width)), 0.0, 1.0)
    alone = np.flatnonzero(np.bincount(np.concatenate([*parents, several]), minlength=len(rows)) == 0)
    parent = np.concatenate([*parents, several, alone])
    near = np.vstack([*found, np.where(numbers[several], moved, rows[several]), rows[alone]])
    order = np.argsort(parent, kind="stable")
    return encoding.settle(near[order], active[parent[order]], rng), np.bincount(parent, minlength=len(rows))


def _around(column: Column, here: Array, rng: np.random.Generator, scales: Sequence[float]) -> tuple[Array, Mask]:
    """Return coordinates [N, K] near each of `here` [N], and which of them are there."""
    if column.category:
        values = np.tile(np.arange(column.size or 1, dtype=float), (len(here), 1))
        return values, values != here[:, None]
    if column.positions is None or len(column.positions) > ENDS_LISTED:
        signed = 2.0 * np.array([sign * scale for scale in scales for sign in (-1.0, 1.0)])
        values = np.clip(here[:, None] + signed * rng.random((len(here), len(signed))), 0.0, 1.0)
        return values, np.ones(values.shape, dtype=bool)
    index, count = column.index(here)[:, None], len(column.positions)
    drawn = rng.integers(count, size=index.shape)
    places = np.hstack([index + np.array([-2, -1, 1, 2]), drawn])
    valid = (places >= 0) & (places < count)
    valid[:, -1:] &= np.abs(drawn - index) > 2
    return column.positions[np.clip(places, 0, count - 1)], valid
