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


def next_repeat(runs: Sequence[Sequence[float]], left: int) -> int | None:
    """Return which configuration to run again, or None when there is nothing to decide.

    `runs` hold the costs of every configuration that may win, its first run first; `left` repeats remain.
    The five with the best first runs are repeated equally often.
    """
    if left <= 0 or len(runs) < 2:
        return None
    order = np.argsort([costs[0] for costs in runs], kind="stable")[:FINALISTS]
    return int(min(order, key=lambda place: len(runs[int(place)])))


def winner(runs: Sequence[Sequence[float]]) -> int:
    """Return the configuration to take: the lowest plain mean among those that were repeated, if any were."""
    fewest = 2 if any(len(costs) > 1 for costs in runs) else 1
    means = [float(np.mean(costs)) if len(costs) >= fewest else np.inf for costs in runs]
    return min(range(len(runs)), key=means.__getitem__)
