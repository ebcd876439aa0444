"""The interface of controllers: an Optuna sampler whose only state is the seed and the study's trials."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial

from paddle_automl.core.registry import Registry
from paddle_automl.core.schema import PluginConfig
from paddle_automl.core.seeds import generator
from paddle_automl.core.threads import one_blas_thread
from paddle_automl.search.objective import Objective
from paddle_automl.search.records import History, proposal_number
from paddle_automl.space import Params, SearchSpace

CONTROLLERS: Registry[Controller] = Registry("controller", "paddle_automl.search.controllers", "search.controller")

ATTEMPTS = 20
"""Random draws of a new proposal before the remaining ones are enumerated."""
LISTED = 20_000
"""Largest space whose remaining members are enumerated when drawing finds nothing new."""


class Controller(BaseSampler):
    """Proposes the next trial. Wrappers of external samplers derive from this class; all others from `Proposer`."""

    name: ClassVar[str]
    knows_seconds: ClassVar[bool] = False
    """Whether it can weigh gain against time (`search.cost_aware`)."""

    class Config(PluginConfig):
        """No options."""

    def __init__(self, config: Any, *, space: SearchSpace, objectives: Sequence[Objective], seed: int) -> None:
        self.config = config
        self.space = space
        self.objectives = tuple(objectives)
        self.seed = seed
        self.planned: int | None = None
        """Number of proposals in the search, if known."""
        self.cost_aware = False
        """Whether to seek gain per second instead of gain; for controllers with `knows_seconds`."""

    def exhausted(self, history: History) -> bool:
        """Return whether everything that this controller can propose has been tried or is running."""
        size = self.space.size()
        return size is not None and len(history.keys(self.space)) >= size


class Proposer(Controller):
    """A controller that only implements `propose`.

    Rules: the proposal is a function of the seed, the number and the history. It holds every active decision and
    nothing else, each within its domain. It draws random numbers only from `self.rng(number)`.
    """

    @abstractmethod
    def propose(self, number: int, history: History) -> Params:
        """Return the choices of proposal `number`, counted from 0."""

    def rng(self, number: int) -> np.random.Generator:
        """Return the generator of proposal `number`."""
        return generator(self.seed, "controller", self.name, number)

    def unseen(self, draw: Callable[[], Params], history: History, rng: np.random.Generator) -> Params:
        """Return the first of `draw`'s results that is not in the history.

        After 20 unsuccessful draws it returns an untried member of a small space; for a large space the last draw.
        """
        seen = history.keys(self.space)
        for _ in range(ATTEMPTS):
            params = draw()
            if self.space.canonical_key(params) not in seen:
                return params
        size = self.space.size()
        if size is not None and size <= LISTED:
            left = [other for other in self.space.grid(size) if self.space.canonical_key(other) not in seen]
            if left:
                return left[int(rng.integers(len(left)))]
        return params

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Return all decisions, which are taken at once, unless the trial's choices are given."""
        return {} if "fixed_params" in trial.system_attrs else self.space.distributions

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Return the proposal for Optuna's trial."""
        if not search_space:
            return {}
        trials = [other for other in study.get_trials(deepcopy=False) if other.number != trial.number]
        history = History.of(trials, self.objectives)
        with one_blas_thread():
            params = self.propose(proposal_number(trials, trial.number), history)
        # For a value outside its domain Optuna would silently draw at random.
        if not self.space.contains(params):
            raise RuntimeError(f"controller '{self.name}' proposed {params}, which is not in the search space")
        return dict(params)

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Refuse: a proposal is complete."""
        raise RuntimeError(
            f"'{param_name}' is not decided in trial {trial.number}: its given choices do not fit the space"
        )
