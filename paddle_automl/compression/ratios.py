"""The fraction of filters to prune in each layer, so that the whole network reaches a target."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

Curve = Sequence[tuple[float, float]]
"""(fraction of the filters removed, loss from that), for one layer."""
Ratios = dict[str, float]

LARGEST = 0.9
"""Largest fraction of a layer's filters that is removed."""
SEARCH_STEPS = 24


def tolerated(curves: Mapping[str, Curve], loss: float) -> Ratios:
    """Return for each layer the largest ratio whose loss stays within `loss`, interpolated between points.

    A layer's losses are made strictly increasing in the ratio, so that the ratio is a continuous function of `loss`
    and a search over it cannot skip its target.
    """
    found = {}
    for name, curve in curves.items():
        points = [(0.0, 0.0), *sorted(curve)]
        ratios = np.array([ratio for ratio, _ in points], dtype=np.float64)
        losses = np.maximum.accumulate(np.array([max(cost, 0.0) for _, cost in points])) + 1e-6 * ratios
        found[name] = min(float(np.interp(loss, losses, ratios)), LARGEST)
    return found


def rounded(ratios: Mapping[str, float], filters: Mapping[str, int], align: int) -> Ratios:
    """Return ratios that leave a multiple of `align` filters, at least one, in layers with 2 `align` or more."""
    found = {}
    for name, ratio in ratios.items():
        total = filters[name]
        kept = total * (1 - ratio)
        unit = align if total >= 2 * align else 1
        found[name] = 1 - min(total, max(unit, round(kept / unit) * unit)) / total
    return found


def search(
    ratios_at: Callable[[float], Ratios],
    cost_of: Callable[[Ratios], float],
    target: float,
    *,
    upper: float,
    steps: int = SEARCH_STEPS,
) -> tuple[Ratios, float]:
    """Return ratios and their cost: the largest cost found that is not above `target`.

    `ratios_at` maps a level from 0 to `upper` to ratios whose cost decreases with it. If even `upper` stays above
    the target, its ratios are returned, so compare the cost with the target.
    """
    ratios = ratios_at(upper)
    best, best_cost = ratios, cost_of(ratios)
    if best_cost > target:
        return best, best_cost
    low, high = 0.0, upper
    seen: dict[tuple[float, ...], float] = {}
    for _ in range(steps):
        level = (low + high) / 2
        ratios = ratios_at(level)
        key = tuple(ratios.values())
        # Different levels often round to the same filters, which need no new measurement.
        cost = seen[key] if key in seen else cost_of(ratios)
        seen[key] = cost
        if cost > target:
            low = level
            continue
        high = level
        if cost > best_cost:
            best, best_cost = ratios, cost
    return best, best_cost
