"""What random search would be expected to find with as many trials, estimated from the trials of a search."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from paddle_automl.search.learning.encoding import Encoding
from paddle_automl.space import Params, SearchSpace

FEWEST = 10
"""Fewest trials for an estimate."""
DRAWS, TREES = 1000, 100
LOW, HIGH = 0.1, 0.9
"""Quantiles of the band."""


@dataclass(frozen=True)
class Expectation:
    """The best of 1 to N random trials, in the objective's unit: its mean, and the band of its quantiles.

    `explained` is the fraction of the variance that the model explains on trials it has not seen; None where the
    trials themselves were random, so that no model is needed.
    """

    mean: list[float]
    low: list[float]
    high: list[float]
    explained: float | None


def best_of(costs: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return mean, lower and upper quantile of the lowest of n draws from `costs` [M], for n from 1 to `most`.

    Dodge et al. 2019, "Show Your Work", eq. (2), for costs: the lowest of n draws exceeds a cost that i of the M
    are not above with the probability ((M - i) / M)^n.
    """
    ordered, counts = np.unique(costs, return_counts=True)
    above = 1 - np.append(0, np.cumsum(counts)) / len(costs)
    above[-1] = 0.0
    trials = np.arange(1, most + 1)[:, None]
    weights = above[None, :-1] ** trials - above[None, 1:] ** trials
    below = np.cumsum(weights, axis=1)
    last = len(ordered) - 1
    ends = [ordered[np.minimum((below < level - 1e-12).sum(axis=1), last)] for level in (LOW, HIGH)]
    return weights @ ordered, ends[0], ends[1]


def expectation_of(
    space: SearchSpace, params: Sequence[Params], costs: Sequence[float], most: int, *, random: bool, seed: int = 0
) -> Expectation | None:
    """Return the costs that the best of 1 to `most` random trials would have; None with fewer than `FEWEST` trials.

    With `random` the trials were drawn at random, and their costs are the sample. Otherwise a forest of regression
    trees learns costs from choices; each tree's answer for a random configuration is one draw of its cost, so a
    draw is always a cost that was observed: the estimate is never better than the best trial.
    """
    seen = np.asarray(costs, dtype=np.float64)
    if len(seen) < FEWEST:
        return None
    if random:
        return _expectation(seen, most, None)
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.metrics import r2_score

    encoding = Encoding(space)
    rows = np.stack([encoding.encode(item) for item in params])
    forest = RandomForestRegressor(TREES, oob_score=True, random_state=seed, n_jobs=1)
    forest.fit(rows, seen)
    drawn = encoding.sample(DRAWS, np.random.default_rng(seed))
    sample = np.concatenate([tree.predict(drawn) for tree in forest.estimators_])
    known = np.isfinite(forest.oob_prediction_)
    explained = float(r2_score(seen[known], forest.oob_prediction_[known])) if np.ptp(seen[known]) else 0.0
    return _expectation(sample, most, explained)


def _expectation(sample: np.ndarray, most: int, explained: float | None) -> Expectation:
    mean, low, high = best_of(sample, most)
    return Expectation(mean.tolist(), low.tolist(), high.tolist(), explained)
