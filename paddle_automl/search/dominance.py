"""A total order of trials with several objectives: limits, non-dominated sorting, an epsilon-net in each front."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Indices = NDArray[np.intp]


def order(points: Sequence[tuple[float, ...]]) -> list[int]:
    """Return the place of each point, 0 for the best.

    A point is the excess over the limits, followed by costs; a cost that is missing (NaN) in one of the points is
    ignored. Smaller excess first; then by fronts of non-dominated points (Deb et al. 2002, "NSGA-II"); inside a
    front by `epsilon_net`.
    """
    table = np.array(points, dtype=float)
    excess, costs = table[:, 0], table[:, 1:]
    costs = costs[:, np.isfinite(costs).all(axis=0)]
    lows, spans = costs.min(axis=0), np.ptp(costs, axis=0)
    unit = (costs - lows) / np.where(spans > 0, spans, 1.0)
    places = np.empty(len(table), dtype=int)
    given = 0
    for level in np.unique(excess):
        for front in fronts(unit, np.flatnonzero(excess == level)):
            for point in epsilon_net(unit, front):
                places[point] = given
                given += 1
    return [int(place) for place in places]


def fronts(costs: Array, among: Indices) -> list[Indices]:
    """Return the rows `among` those of `costs` [N, M] as fronts: no row of a front dominates another."""
    found = []
    left = among
    while len(left):
        own = costs[left]
        no_worse = (own[:, None] <= own[None]).all(axis=2)
        dominates = no_worse & (own[:, None] < own[None]).any(axis=2)
        dominated = dominates.any(axis=0)
        found.append(left[~dominated])
        left = left[dominated]
    return found


def epsilon_net(costs: Array, front: Indices) -> list[int]:
    """Return the rows of a front: first the lowest in the first cost, then always the farthest from all before.

    So the first k of a front cover it evenly, for every k (Schmucker et al. 2021, arXiv 2106.12639, section 4).
    """
    own = costs[front]
    chosen = [int(np.lexsort(own.T[::-1])[0])]
    distance = np.linalg.norm(own - own[chosen[0]], axis=1)
    distance[chosen[0]] = -1.0
    while len(chosen) < len(front):
        farthest = int(np.argmax(distance))
        chosen.append(farthest)
        distance = np.minimum(distance, np.linalg.norm(own - own[farthest], axis=1))
        distance[chosen] = -1.0
    return [int(front[place]) for place in chosen]
