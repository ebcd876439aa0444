"""Regularized evolution."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from paddle_automl.core.schema import PluginConfig
from paddle_automl.search.controllers._learner import Learner
from paddle_automl.search.controllers.base import CONTROLLERS
from paddle_automl.search.learning.columns import Array
from paddle_automl.search.learning.moves import untried_mutation
from paddle_automl.search.learning.observations import Observations


@CONTROLLERS.register("evolution")
class Evolution(Learner):
    """Mutates the best of a few members of a population that drops its oldest member after each trial.

    Real et al. 2019, arXiv 1802.01548, algorithm 1. Deliberate differences: a population of 20 and a tournament of
    5 (published: 100 and 25, at 100 trials still random search); a number takes a Gaussian step of a fifth of its
    range; a configuration is never tried twice; running trials are not members yet, so any number of workers can be
    used.
    """

    latin = False

    class Config(PluginConfig):
        """Options of evolution."""

        population: int = Field(default=20, ge=2)
        """Number of members, which are the latest trials; the first this many trials are drawn at random."""
        tournament: int = Field(default=5, ge=1)
        """Members drawn at random; the best of them is the parent."""
        step: float = Field(default=0.2, gt=0, le=1)
        """Standard deviation of a number's change, as a fraction of its range."""

    @property
    def initial(self) -> int:
        """The first population is drawn at random."""
        return self.config.population

    def learned(self, number: int, seen: Observations, rng: np.random.Generator) -> Array | None:
        """Return an untried child of a tournament's winner."""
        start = max(0, len(seen) - self.config.population)
        members = np.arange(start, len(seen))
        drawn = rng.choice(members, min(self.config.tournament, len(members)), replace=False)
        parent = seen.rows[int(drawn[np.argmin(seen.costs[drawn])])]
        return untried_mutation(self.encoding, parent, seen, rng, count=1, sigma=self.config.step)
