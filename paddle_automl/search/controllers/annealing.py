"""Simulated annealing."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from paddle_automl.core.schema import PluginConfig
from paddle_automl.core.seeds import generator
from paddle_automl.search.controllers._learner import Learner
from paddle_automl.search.controllers.base import CONTROLLERS
from paddle_automl.search.learning.columns import Array
from paddle_automl.search.learning.moves import untried_mutation
from paddle_automl.search.learning.observations import Observations
from paddle_automl.search.learning.rewards import normal_scores

STEPS = (0.05, 0.1, 0.3)


@CONTROLLERS.register("annealing")
class Annealing(Learner):
    """Simulated annealing: moves from trial to trial, to a worse one the less often, the later and the worse it is.

    Kirkpatrick et al. 1983, "Optimization by Simulated Annealing", Science 220: a step that raises the energy by d
    is taken with probability exp(-d / T). The energy is the normal score of a trial's rank, because costs have no
    common scale; T falls by a constant factor per trial. Trials are accepted in the order of their numbers, not of
    their ends.
    """

    latin = False

    class Config(PluginConfig):
        """Options of annealing."""

        initial_trials: int = Field(default=10, ge=1)
        """Random trials at the start; the walk begins at the best of them."""
        start_temperature: float = Field(default=1.0, gt=0)
        """First temperature, in standard deviations of the normal scores."""
        cooling: float = Field(default=0.95, gt=0, lt=1)
        """Factor of the temperature after each trial."""

    def learned(self, number: int, seen: Observations, rng: np.random.Generator) -> Array | None:
        """Return an untried neighbour of the current trial."""
        parent = seen.rows[self._current(seen)]
        return untried_mutation(self.encoding, parent, seen, rng, count=1, sigma=float(rng.choice(STEPS)))

    def _current(self, seen: Observations) -> int:
        """Return the current position of the walk after all trials."""
        energy = -normal_scores(seen.costs)
        first = min(self.initial, len(seen))
        current = int(np.argmin(energy[:first]))
        temperature = self.config.start_temperature
        for place in range(first, len(seen)):
            rise = float(energy[place] - energy[current])
            luck = float(generator(self.seed, "controller", self.name, "accept", seen.numbers[place]).random())
            if rise <= 0 or luck < np.exp(-rise / temperature):
                current = place
            temperature *= self.config.cooling
        return current
