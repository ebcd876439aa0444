"""Q-learning over the search space: factored values with edit actions, or MetaQNN's table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from pydantic import Field

from paddle_automl.core.schema import PluginConfig
from paddle_automl.search.controllers._learner import Learner
from paddle_automl.search.controllers.base import CONTROLLERS
from paddle_automl.search.learning.bins import Bins, Step
from paddle_automl.search.learning.columns import Array
from paddle_automl.search.learning.factored_q import FactoredQ, edits
from paddle_automl.search.learning.metaqnn import Replay, epsilon, state_at
from paddle_automl.search.learning.observations import Observations
from paddle_automl.search.learning.values import Features
from paddle_automl.search.objective import Objective
from paddle_automl.space import SearchSpace

METAQNN_DRAWS = 30
UNKNOWN_TRIALS = 100
"""Length of MetaQNN's schedule if that of the search is not known."""
SOFTNESS = 5.0


@CONTROLLERS.register("q_learning")
class QLearning(Learner):
    """Learns the value of every choice from all trials and proposes promising combinations.

    The loop is the textbook's: generate a combination, train it, evaluate it on the validation split, update the
    values of its choices, choose the next combination by them, until the budget is spent or `search.stop_after`
    trials bring no improvement.

    *factored* (default). State: an incumbent, one of the best trials. Action: one to four edits of single
    decisions. Q(s, a) is a sum of per-decision values of the resulting configuration, fitted to all trials at once
    by Bayesian ridge regression: experience replay until convergence, discount 1. Exploration is by Thompson
    sampling (Thompson 1933) instead of epsilon, so that parallel trials differ.

    *metaqnn*. Baker et al. 2016, arXiv 1611.02167: the decisions in order are the states, their choices the
    actions; epsilon-greedy choices with the schedule of table 2, updates by eq. (3) over replayed trials in
    reversed order. Deliberate differences: the schedule is scaled to `schedule_trials`; the reward is the fraction
    of trials that are worse instead of the accuracy, because losses have no fixed scale; the ranges of numbers are
    divided into 6 intervals. The paper needs 2,700 trials; at 100 it is hardly better than random search.
    """

    knows_seconds = True

    class Config(PluginConfig):
        """Options of Q-learning."""

        variant: Literal["factored", "metaqnn"] = "factored"
        """factored (a value per decision, with edits as actions) or metaqnn (the published table)."""
        initial_trials: int | None = Field(default=None, ge=1)
        """factored: trials of the Latin hypercube; None: 6, up to 10 in a space of choices alone."""
        incumbents: int = Field(default=4, ge=1)
        """factored: number of best trials that are edited."""
        candidates: int = Field(default=64, ge=1)
        """factored: edited configurations that compete for one proposal."""
        random_fraction: float = Field(default=0.05, ge=0, le=1)
        """factored: fraction of proposals drawn at random."""
        schedule_trials: int | None = Field(default=None, ge=1)
        """metaqnn: trials over which epsilon falls from 1 to 0.1; None: search.trials without the repeats."""
        learning_rate: float = Field(default=0.01, gt=0, le=1)
        """metaqnn: learning rate, the step of a value toward its target."""
        discount: float = Field(default=1.0, ge=0, le=1)
        """metaqnn: weight of the next state's value."""
        start_value: float = 0.5
        """metaqnn: value of an action that was never tried."""
        replayed: int = Field(default=128, ge=0)
        """metaqnn: past trials replayed after each trial."""

    def __init__(self, config: Config, *, space: SearchSpace, objectives: Sequence[Objective], seed: int) -> None:
        super().__init__(config, space=space, objectives=objectives, seed=seed)
        self._q = FactoredQ(Features(self.encoding))
        self._bins = Bins(self.encoding, parts=6)
        self._replay = Replay(
            self._bins, seed, config.start_value, config.learning_rate, config.discount, config.replayed
        )

    @property
    def _schedule(self) -> int:
        return self.config.schedule_trials or self.planned or UNKNOWN_TRIALS

    @property
    def initial(self) -> int:
        """MetaQNN explores only by its epsilon."""
        return super().initial if self.config.variant == "factored" else 0

    def learned(self, number: int, seen: Observations, rng: np.random.Generator) -> Array | None:
        """Return the most promising untried row."""
        return self._edited(seen, rng) if self.config.variant == "factored" else self._played(number, seen, rng)

    def _edited(self, seen: Observations, rng: np.random.Generator) -> Array | None:
        """Return the best untried candidate under weights drawn from the posterior."""
        if rng.random() < self.config.random_fraction:
            return None
        weights = self._q.draw(seen.rows, seen.costs, rng)
        candidates = edits(self.encoding, seen, self.config.incumbents, self.config.candidates, rng)
        keys = self.encoding.keys(candidates)
        values = self._q.features(candidates) @ weights
        if self.cost_aware:
            values = self._per_second(values, weights, candidates, seen)
        values = values + self.prior.bonus(candidates, len(seen))
        for place in np.argsort(-values, kind="stable"):
            if keys[place] not in seen.seen:
                return candidates[place]
        return None

    def _per_second(self, values: Array, weights: Array, candidates: Array, seen: Observations) -> Array:
        """Return the logarithm of each candidate's gain per second over the best trial.

        The gain is smoothed, ``log(1 + exp(k gain)) / k``, so that candidates below the best are still ordered.
        """
        gain = values - float((self._q.features(seen.rows[seen.best[:1]]) @ weights)[0])
        softened = np.logaddexp(0.0, SOFTNESS * gain)
        result: Array = np.log(np.maximum(softened, 1e-300)) - self.log_seconds(seen)(candidates)
        return result

    def _played(self, number: int, seen: Observations, rng: np.random.Generator) -> Array | None:
        """Return the row of an epsilon-greedy walk through the table."""
        table, share = self._replay.table(seen), epsilon(number, self._schedule)

        def choose(decision: int, steps: Sequence[Step]) -> int:
            values = np.array(table.of(state_at([*steps, (decision, 0)], len(steps))))
            if rng.random() < share:
                return int(rng.integers(len(values)))
            return int(rng.choice(np.flatnonzero(values == values.max())))

        for _ in range(METAQNN_DRAWS):
            row = self._bins.play(choose, rng)
            if self.encoding.keys(row[None])[0] not in seen.seen:
                return row
        return None
