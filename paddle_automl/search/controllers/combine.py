"""What helped in single trials, all together, and small changes of the best."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import Field

from paddle_automl.core.schema import PluginConfig
from paddle_automl.search.controllers.base import CONTROLLERS, Proposer
from paddle_automl.search.controllers.local_search import LocalSearch
from paddle_automl.search.learning.observations import within_limits_first
from paddle_automl.search.objective import Objective
from paddle_automl.search.records import History, Observation
from paddle_automl.space import Params, SearchSpace
from paddle_automl.space.tree import Decision

NONE = "none"
"""Option of a part that is left out."""


@CONTROLLERS.register("combine")
class Combine(Proposer):
    """Builds a sum of parts step by step, for searches of few trials.

    Parts are decisions with the option ``none``. The start is the best trial, with each value that was better than
    its own in two trials that differ in nothing else; it is tried itself. To that it adds, one at a time, the parts
    that no trial has had; then all parts at once, each as the best of the trials with it has it, without those
    whose trials are all beyond a limit. When all that was tried, it changes one or two decisions of one of the best
    trials.
    """

    class Config(PluginConfig):
        """Options of the controller."""

        initial_trials: int = Field(default=1, ge=1)
        """Trials before anything is built, random ones unless the configuration gives them (`search.first`)."""
        incumbents: int = Field(default=3, ge=1)
        """Number of best trials that are changed."""

    config: Config

    def __init__(self, config: Config, *, space: SearchSpace, objectives: Sequence[Objective], seed: int) -> None:
        super().__init__(config, space=space, objectives=objectives, seed=seed)
        options = LocalSearch.Config(initial_trials=config.initial_trials, incumbents=config.incumbents)
        self._local = LocalSearch(options, space=space, objectives=objectives, seed=seed)
        self._parts = [found for found in space.decisions if NONE in getattr(found.domain, "options", ())]

    def propose(self, number: int, history: History) -> Params:
        """Return the first new combination, or a neighbour of one of the best trials."""
        known = history.keys(self.space)
        for params in self._combinations(history):
            if self.space.canonical_key(params) not in known:
                return params
        return self._local.propose(number, history)

    def _combinations(self, history: History) -> Iterator[Params]:
        ranked = sorted(history.usable(), key=self._rank)
        if len(ranked) < self.config.initial_trials:
            return
        start = self._improved(ranked)
        yield start
        tried = [*(found.params for found in history.finished), *history.running]
        for part in self._parts:
            if start.get(part.name) == NONE and all(params.get(part.name, NONE) == NONE for params in tried):
                yield self._with_first_option(start, part)
        allowed = [found for found in ranked if self._rank(found)[0] == 0] or ranked
        whole = dict(start)
        for part in self._parts:
            if whole.get(part.name) == NONE:
                other = next((o.params for o in allowed if o.params.get(part.name, NONE) != NONE), None)
                whole |= {} if other is None else _below(other, part.name)
        yield self.space.complete(whole)

    def _rank(self, found: Observation) -> tuple[float, ...]:
        """Return the excess over the limits and the first objective's cost: trials beyond a limit come last."""
        return within_limits_first(found.costs or (), self.objectives)[:2]

    def _improved(self, ranked: Sequence[Observation]) -> Params:
        """Return the best trial's choices with the values that were better in a pair of trials."""
        params: Params = dict(ranked[0].params)
        for place, better in enumerate(ranked):
            for worse in ranked[place + 1 :]:
                if not self._rank(better) < self._rank(worse):
                    continue
                differing = {
                    name
                    for name in {*better.params, *worse.params}
                    if better.params.get(name) != worse.params.get(name)
                }
                if len(differing) != 1:
                    continue
                (name,) = differing
                if name in worse.params and name in better.params and params.get(name) == worse.params[name]:
                    params[name] = better.params[name]
        return self.space.complete(params)

    def _with_first_option(self, start: Params, part: Decision) -> Params:
        """Return choices with the first option of a part that they lack, whose own options are in the middle."""
        options = [option for option in getattr(part.domain, "options", ()) if option != NONE]
        params = {**start, part.name: options[0]}
        for decision in self.space.decisions:
            if decision.name.startswith(f"{part.name}[{options[0]}]"):
                params[decision.name] = decision.domain.at(0.5)
        return self.space.complete(params)


def _below(params: Mapping[str, Any], part: str) -> Params:
    """Return the choice of a part and of its options."""
    return {name: value for name, value in params.items() if name == part or name.startswith(f"{part}[")}
