"""The final choice knows about noise: the best few are run again before one of them is taken."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

FEWEST, FULL = 30, 100
SHARE = 0.2
FINALISTS = 5


def repeats(trials: int) -> int:
    """Return how many of `trials` go into repeats: none up to 30, a fifth from 100 on, linear between.

    Choosing the best *observed* trial is choosing luck too; with few trials a better search is worth more.
    """
    grown = min(1.0, max(0.0, (trials - FEWEST) / (FULL - FEWEST)))
    return round(SHARE * grown * trials)


def repeats_after(explored: int) -> int:
    """Return how many repeats go with so many different configurations, by the rule of `repeats`."""
    trials = explored
    while trials - repeats(trials) < explored:
        trials += 1
    return trials - explored


def next_repeat(runs: Sequence[Sequence[float]], left: int) -> int | None:
    """Return which configuration to run again, or None when there is nothing to decide.

    `runs` hold the costs of every configuration that may win, its first run first; `left` repeats remain.
    The five with the best first runs are repeated equally often.
    """
    if left <= 0 or len(runs) < 2:
        return None
    order = np.argsort([costs[0] for costs in runs], kind="stable")[:FINALISTS]
    return int(min(order, key=lambda place: len(runs[int(place)])))


def ranked(runs: Sequence[Sequence[float]]) -> list[int]:
    """Return the configurations, the one to take first: by the plain mean of their runs.

    Once the one with the best first run was repeated, those that were not repeated come behind all that were:
    one lucky run proves nothing against a mean. At equal means the order given stands.
    """
    if not runs:
        return []
    leader = min(range(len(runs)), key=lambda place: runs[place][0])
    fewest = 2 if len(runs[leader]) > 1 else 1
    return sorted(range(len(runs)), key=lambda place: (len(runs[place]) < fewest, float(np.mean(runs[place]))))


def winner(runs: Sequence[Sequence[float]]) -> int:
    """Return the configuration to take."""
    return ranked(runs)[0]
