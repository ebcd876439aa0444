"""The final choice under noise: the best few are run again, and the default stays unless one is surely better."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from paddle_automl.search.learning.estimates import Estimates

FEWEST, FULL = 30, 100
SHARE = 0.2
FINALISTS = 5
MARGIN = 2.0
"""Standard errors by which a configuration must be better than the default to replace it."""


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


def next_repeat(runs: Sequence[Sequence[float]], left: int, baseline: int | None = None) -> int | None:
    """Return the configuration to run again, or None if there is nothing to decide.

    `runs` hold the costs of each configuration that may win, first run first; `left` repeats remain.
    The five with the best first runs, and the default as `baseline`, are repeated equally often.
    """
    if left <= 0 or len(runs) < 2:
        return None
    order = [int(place) for place in np.argsort([costs[0] for costs in runs], kind="stable")[:FINALISTS]]
    if baseline is not None and baseline not in order:
        order.append(baseline)
    return min(order, key=lambda place: len(runs[place]))


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


def winner(runs: Sequence[Sequence[float]], estimates: Estimates | None = None, baseline: int | None = None) -> int:
    """Return the winning configuration: the finalist with the best of the `estimates`, without them the best mean.

    After repeats it is one of those that were repeated. It is the default, `baseline`, unless the best estimate is
    lower by more than two standard errors: a lead within the noise is as likely luck, and the search may have
    overfitted its validation split ("overtuning", arXiv 2506.19540).
    """
    order = ranked(runs)
    if estimates is None:
        return order[0]
    again = len(runs[order[0]]) > 1
    rivals = [place for place in order if len(runs[place]) > 1 or not again][: FINALISTS + again]
    best = min(rivals, key=lambda place: float(estimates.values[place]))
    if baseline is None or baseline == best:
        return best
    lead = float(estimates.values[baseline] - estimates.values[best])
    return best if lead > MARGIN * estimates.error(baseline, best) else baseline
