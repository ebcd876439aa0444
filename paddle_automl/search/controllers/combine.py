"""The best trials' parts together, and small changes of the best."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from paddle_automl.core.schema import PluginConfig
from paddle_automl.search.controllers.base import CONTROLLERS, Proposer
from paddle_automl.search.controllers.local_search import LocalSearch
from paddle_automl.search.objective import Objective
from paddle_automl.search.records import History
from paddle_automl.space import Params, SearchSpace

NONE = "none"
"""Option of a part that is left out."""


@CONTROLLERS.register("combine")
class Combine(Proposer):
    """Joins the optional parts of several trials, for networks that are sums of parts.

    Parts are decisions with the option ``none``. To the best trial it adds each part that it lacks, as the best of
    the trials with such a part has it. When that was tried, it changes one or two decisions of one of the best
    trials. It is for searches of few trials, which begin with one of each kind (`search.first`).
    """

    class Config(PluginConfig):
        """Options of the controller."""

        initial_trials: int = Field(default=2, ge=1)
        """Trials before anything is joined; random ones, unless `search.first` gives them."""
        incumbents: int = Field(default=3, ge=1)
        """Number of best trials that are changed."""

    config: Config

    def __init__(self, config: Config, *, space: SearchSpace, objectives: Sequence[Objective], seed: int) -> None:
        super().__init__(config, space=space, objectives=objectives, seed=seed)
        options = LocalSearch.Config(initial_trials=config.initial_trials, incumbents=config.incumbents)
        self._local = LocalSearch(options, space=space, objectives=objectives, seed=seed)

    def propose(self, number: int, history: History) -> Params:
        """Return all parts together, or a neighbour of one of the best trials."""
        joined = self._joined(history) if number >= self.config.initial_trials else None
        if joined is not None and self.space.canonical_key(joined) not in history.keys(self.space):
            return joined
        return self._local.propose(number, history)

    def _joined(self, history: History) -> Params | None:
        """Return the best trial's choices with the parts that it lacks; None before any trial has a result."""
        ranked = sorted(history.usable(), key=lambda found: (found.costs or ())[:1])
        if not ranked:
            return None
        params: Params = dict(ranked[0].params)
        for decision in self.space.decisions:
            if params.get(decision.name) != NONE:
                continue
            other = next((found.params for found in ranked if found.params.get(decision.name, NONE) != NONE), None)
            if other is not None:
                below = f"{decision.name}["
                params |= {
                    name: value for name, value in other.items() if name == decision.name or name.startswith(below)
                }
        return self.space.complete(params)
