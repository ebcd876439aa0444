"""Rewards and costs without heavy tails, which learners use instead of the raw metric."""

from __future__ import annotations

import numpy as np
from scipy.special import ndtri

from paddle_automl.search.learning.columns import Array

POWERS, FINER = np.linspace(-6.0, 6.0, 49), np.linspace(-0.25, 0.25, 41)
"""Exponents that are tried first, and steps around the best of them."""


def average_ranks(costs: Array) -> Array:
    """Return the rank of each cost from 1, the mean rank for ties."""
    # Imported late: scipy.stats takes a third of a second, which every command would pay at its start.
    from scipy.stats import rankdata

    ranks: Array = rankdata(costs)
    return ranks


def rank_rewards(costs: Array) -> Array:
    """Return each cost's rank as a reward in 0..1: 1 for the best, 0 for the worst, equal for ties."""
    if len(costs) < 2:
        return np.full(len(costs), 0.5)
    return 1.0 - (average_ranks(costs) - 1.0) / (len(costs) - 1.0)


def normal_scores(costs: Array) -> Array:
    """Return each cost's rank as a standard normal reward, the best highest: ``-ppf((rank - 0.5) / n)``."""
    scores: Array = -ndtri((average_ranks(costs) - 0.5) / max(1, len(costs)))
    return scores


def even_out(costs: Array) -> Array:
    """Return standardised costs [N] after a power transform (Yeo and Johnson 2000); constant ones are 0."""
    spread = float(costs.std())
    # Relative to the size: rounding noise of equal costs does not count as spread.
    if spread <= 1e-12 * max(1e-300, float(np.abs(costs).max(initial=0.0))):
        return np.zeros_like(costs)
    standard = (costs - costs.mean()) / spread
    if len(costs) < 5:
        return standard
    with np.errstate(all="ignore"):
        coarse = POWERS[np.nanargmax(_likelihood(standard, POWERS))]
        fine = coarse + FINER
        even = power_transform(standard, fine[[np.nanargmax(_likelihood(standard, fine))]])[0]
    if not np.isfinite(even).all() or even.std() < 1e-9:
        return -normal_scores(costs)
    result: Array = (even - even.mean()) / even.std()
    return result


def power_transform(values: Array, powers: Array) -> Array:
    """Return the values [N] to each power [P], as [P, N] (Yeo and Johnson 2000, eq. 2.1)."""
    logs = np.log1p(np.abs(values))
    upper = values >= 0
    exponents = np.where(upper, powers[:, None], 2.0 - powers[:, None])
    # (exp(p log(1 + |v|)) - 1) / p, whose limit at p = 0 is the logarithm.
    safe = np.where(np.abs(exponents) < 1e-9, 1.0, exponents)
    raised = np.where(np.abs(exponents) < 1e-9, logs, np.expm1(safe * logs) / safe)
    return np.where(upper, raised, -raised)


def _likelihood(values: Array, powers: Array) -> Array:
    """Return the profile log-likelihood [P] of a normal distribution after each power (eq. 3.1)."""
    spreads = np.maximum(power_transform(values, powers).var(axis=1), 1e-300)
    slope = float((np.sign(values) * np.log1p(np.abs(values))).sum())
    result: Array = -0.5 * len(values) * np.log(spreads) + (powers - 1.0) * slope
    return result
