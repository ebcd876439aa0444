"""Costs without heavy tails: what learners see in place of the raw metric."""

from __future__ import annotations

import numpy as np
from scipy.special import ndtri
from scipy.stats import rankdata, yeojohnson

from paddle_automl.search.learning.columns import Array


def shares(costs: Array) -> Array:
    """Return each cost's rank as a reward in 0..1: 1 for the best, 0 for the worst, ties alike."""
    if len(costs) < 2:
        return np.full(len(costs), 0.5)
    return 1.0 - (rankdata(costs) - 1.0) / (len(costs) - 1.0)


def normal_scores(costs: Array) -> Array:
    """Return each cost's rank as a standard normal reward, the best highest: ``-ppf((rank - 0.5) / n)``."""
    scores: Array = -ndtri((rankdata(costs) - 0.5) / max(1, len(costs)))
    return scores


def even_out(costs: Array) -> Array:
    """Return standardised costs [N] after a power transform (Yeo and Johnson 2000); constant ones are 0."""
    spread = float(costs.std())
    # Relative to the size: rounding noise of equal costs is no spread.
    if spread <= 1e-12 * max(1e-300, float(np.abs(costs).max(initial=0.0))):
        return np.zeros_like(costs)
    standard = (costs - costs.mean()) / spread
    if len(costs) < 5:
        return standard
    with np.errstate(all="ignore"):
        even, _ = yeojohnson(standard)
    if not np.isfinite(even).all() or even.std() < 1e-9:
        return -normal_scores(costs)
    result: Array = (even - even.mean()) / even.std()
    return result
