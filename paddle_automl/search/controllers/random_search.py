"""Random search (Bergstra and Bengio 2012)."""

from __future__ import annotations

from paddle_automl.search.controllers.base import CONTROLLERS, Proposer
from paddle_automl.search.records import History
from paddle_automl.space import Params


@CONTROLLERS.register("random_search")
class RandomSearch(Proposer):
    """Draws every decision at random and never proposes the same trial twice."""

    def propose(self, number: int, history: History) -> Params:
        """Return choices that were not tried yet."""
        rng = self.rng(number)
        return self.unseen(lambda: self.space.sample(rng), history, rng)
