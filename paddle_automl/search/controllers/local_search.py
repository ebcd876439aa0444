"""Local search around the best trials."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from paddle_automl.core.schema import PluginConfig
from paddle_automl.search.controllers._learner import Learner
from paddle_automl.search.controllers.base import CONTROLLERS
from paddle_automl.search.learning.columns import Array
from paddle_automl.search.learning.moves import untried_mutation
from paddle_automl.search.learning.observations import Observations

GEOMETRIC, SINGLE, REDRAW = 0.6, 0.7, 0.1
STEPS = (0.05, 0.1, 0.3)


@CONTROLLERS.register("local_search")
class LocalSearch(Learner):
    """Changes one or two decisions of one of the best trials.

    White et al. 2020, arXiv 2005.02960, with deliberate differences: neighbours are drawn at random instead of
    visited all, a second decision changes in 30 % of the moves, and the start is one of the three best trials
    (geometric, 0.6) instead of always the best, so that noise and local optima do not trap the search.
    """

    latin = False

    class Config(PluginConfig):
        """Options of local search."""

        initial_trials: int = Field(default=10, ge=1)
        """Random trials at the start."""
        incumbents: int = Field(default=3, ge=1)
        """Number of best trials that are changed."""

    def learned(self, number: int, seen: Observations, rng: np.random.Generator) -> Array | None:
        """Return an untried neighbour."""
        best = seen.best[: self.config.incumbents]
        parent = seen.rows[best[min(len(best), int(rng.geometric(GEOMETRIC))) - 1]]
        count = 1 if rng.random() < SINGLE else 2
        return untried_mutation(
            self.encoding, parent, seen, rng, count=count, sigma=float(rng.choice(STEPS)), redraw=REDRAW
        )
