"""The final choice under noise: the best few configurations are run again before one of them is chosen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

FEWEST, FULL = 30, 100
SHARE = 0.2
FINALISTS = 5


def repeats(trials: int) -> int:
    """Return how many of `trials` go into repeats: none up to 30, a fifth from 100 on, linear between.

    The best *observed* trial is partly lucky; with few trials more search is worth more than repeats.
    """
    grown = min(1.0, max(0.0, (trials - FEWEST) / (FULL - FEWEST)))
    return round(SHARE * grown * trials)


def repeats_after(explored: int) -> int:
    """Return the number of repeats for this many different configurations, by the rule of `repeats`."""
    trials = explored
    while trials - repeats(trials) < explored:
        trials += 1
    return trials - explored


def next_repeat(runs: Sequence[Sequence[float]], left: int) -> int | None:
    """Return the configuration to run again, or None if there is nothing to decide.

    `runs` hold the costs of each configuration that may win, first run first; `left` repeats remain.
    The five with the best first runs are repeated equally often.
    """
    if left <= 0 or len(runs) < 2:
        return None
    order = np.argsort([costs[0] for costs in runs], kind="stable")[:FINALISTS]
    return int(min(order, key=lambda place: len(runs[int(place)])))


def ranked(runs: Sequence[Sequence[float]]) -> list[int]:
    """Return the configurations, best first, by the plain mean of their runs.

    Once the one with the best first run has been repeated, those without repeats come after all with repeats: one
    lucky run is no evidence against a mean. Equal means keep the given order.
    """
    if not runs:
        return []
    leader = min(range(len(runs)), key=lambda place: runs[place][0])
    fewest = 2 if len(runs[leader]) > 1 else 1
    return sorted(range(len(runs)), key=lambda place: (len(runs[place]) < fewest, float(np.mean(runs[place]))))


def winner(runs: Sequence[Sequence[float]]) -> int:
    """Return the winning configuration."""
    return ranked(runs)[0]
