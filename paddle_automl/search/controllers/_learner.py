"""Base of controllers that learn from rows of numbers."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np

from paddle_automl.core.seeds import generator
from paddle_automl.search.controllers.base import Proposer
from paddle_automl.search.learning.columns import Array
from paddle_automl.search.learning.cost import CostModel
from paddle_automl.search.learning.encoding import Encoding
from paddle_automl.search.learning.observations import Observations, Reader
from paddle_automl.search.learning.priors import Prior
from paddle_automl.search.objective import Objective
from paddle_automl.search.records import History
from paddle_automl.space import Params, SearchSpace

MIN_USABLE = 3
"""Trials with a result that a learner needs; with fewer it draws at random."""


class Learner(Proposer):
    """Starts with a Latin hypercube or random trials, then learns from the history as rows.

    `initial` trials come from the design. Failed trials count as the worst seen, several objectives become
    one cost by random weights (`Reader`).
    """

    latin: ClassVar[bool] = True

    def __init__(self, config: Any, *, space: SearchSpace, objectives: Sequence[Objective], seed: int) -> None:
        super().__init__(config, space=space, objectives=objectives, seed=seed)
        self.encoding = Encoding(space)
        self.prior = Prior(self.encoding)
        self._reader = Reader(self.encoding, self.objectives)

    def propose(self, number: int, history: History) -> Params:
        """Return untried choices: first of the initial design, then those that the model finds promising."""
        rng = self.rng(number)
        seen = self._reader.read(history, rng.dirichlet(np.ones(len(self.objectives))).tolist())
        row: Array | None = None
        if number < self.initial:
            row = self.design()[number] if self.latin else None
        elif seen.usable < MIN_USABLE or not len(self.encoding.free):
            row = None
        else:
            row = self.learned(number, seen, rng)
        if row is not None:
            params = self.encoding.decode(row)
            if self.encoding.keys(self.encoding.encode(params)[None])[0] not in seen.seen:
                return params
        return self.unseen(lambda: self.space.sample(rng), history, rng)

    @property
    def initial(self) -> int:
        """Number of trials before learning."""
        given: int | None = self.config.initial_trials
        return self.encoding.start if given is None else given

    def log_seconds(self, seen: Observations) -> Callable[[Array], Array]:
        """Return a function from rows [M, D] to predicted log seconds [M]; zeros if the time does not matter."""
        if not self.cost_aware:
            return lambda rows: np.zeros(len(rows))
        return CostModel(self.encoding).fitted(seen)

    @abstractmethod
    def learned(self, number: int, seen: Observations, rng: np.random.Generator) -> Array | None:
        """Return the row [D] to try; for None, or a row that was tried, a random untried one is used."""

    def design(self) -> Array:
        """Return the initial rows, which depend only on the seed."""
        rng = generator(self.seed, "controller", "design")
        return self.prior.pulled(self.encoding.latin_hypercube(self.initial, rng), rng)
