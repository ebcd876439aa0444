"""The factored form of Q-learning: edit actions on incumbents, values factored over decisions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from paddle_automl.search.learning.columns import Array
from paddle_automl.search.learning.encoding import Encoding
from paddle_automl.search.learning.moves import mutate
from paddle_automl.search.learning.observations import Observations
from paddle_automl.search.learning.rewards import average_ranks, normal_scores
from paddle_automl.search.learning.values import Features, Weights, draw_by_kernel, posterior

RIDGE = 1.0
LOCALITY = 3.0
GEOMETRIC = 0.55
MAX_EDITS = 4
STEPS = (0.03, 0.1, 0.3)


@dataclass(frozen=True)
class FactoredQ:
    """Values of configurations, learned from all trials at once.

    The return of a trial is the normal score of its rank; discount 1. Trials are weighted by ``exp(-3 (rank - 1) /
    n)``, so the values describe the good region, where the next edits are made.
    """

    features: Features

    def importance(self, costs: Array) -> Array:
        """Return the weights [N] of trials."""
        weights: Array = np.exp(-LOCALITY * (average_ranks(costs) - 1.0) / len(costs))
        return weights

    def posterior(self, rows: Array, costs: Array) -> Weights:
        """Return the posterior of the weights."""
        return posterior(self.features(rows), normal_scores(costs), self.importance(costs), RIDGE)

    def draw(self, rows: Array, costs: Array, rng: np.random.Generator) -> Array:
        """Return weights [F] drawn from the posterior, by the cheaper of two equivalent methods."""
        if self.features.width <= len(rows):
            return self.posterior(rows, costs).draw(rng)
        return draw_by_kernel(self.features(rows), normal_scores(costs), self.importance(costs), RIDGE, rng)


def edits(encoding: Encoding, seen: Observations, incumbents: int, count: int, rng: np.random.Generator) -> Array:
    """Return rows [count, D]: copies of the best `incumbents` trials, each with 1 to 4 decisions edited.

    Better incumbents are edited more often, and few edits are likelier than many (both geometric, 0.55). A number
    takes a Gaussian step of 3, 10 or 30 % of its range.
    """
    best = seen.best[:incumbents]
    ranks = np.minimum(len(best), rng.geometric(GEOMETRIC, count)) - 1
    numbers = np.minimum(MAX_EDITS, rng.geometric(GEOMETRIC, count))
    return mutate(encoding, seen.rows[best[ranks]], numbers, rng.choice(STEPS, count), rng)
