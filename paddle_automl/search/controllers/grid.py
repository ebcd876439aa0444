"""Grid search."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain

from pydantic import Field

from paddle_automl.core.schema import PluginConfig
from paddle_automl.search.controllers.base import CONTROLLERS, Proposer
from paddle_automl.search.objective import Objective
from paddle_automl.search.records import History
from paddle_automl.space import Params, SearchSpace


@CONTROLLERS.register("grid")
class Grid(Proposer):
    """Tries every combination in the order of the search space, the last key changing fastest."""

    class Config(PluginConfig):
        """Options of the grid."""

        steps: int = Field(default=5, ge=1)
        """Number of values tried for a number with a wider range and no step of its own."""

    def __init__(self, config: Config, *, space: SearchSpace, objectives: Sequence[Objective], seed: int) -> None:
        super().__init__(config, space=space, objectives=objectives, seed=seed)
        self._left: Iterator[Params] = space.grid(config.steps)
        self._passed: set[str] = set()

    def exhausted(self, history: History) -> bool:
        """Return whether no combination is left."""
        return self._next(history) is None

    def propose(self, number: int, history: History) -> Params:
        """Return the next untried combination; after the last one the first again."""
        return self._next(history) or next(self.space.grid(self.config.steps))

    def _next(self, history: History) -> Params | None:
        seen = history.keys(self.space)
        if not self._passed <= seen:
            # The study is a different one: combinations that were tried there may be untried here.
            self._left, self._passed = self.space.grid(self.config.steps), set()
        for params in self._left:
            key = self.space.canonical_key(params)
            if key not in seen:
                self._left = chain([params], self._left)
                return params
            self._passed.add(key)
        return None
