"""A portfolio: several controllers that share one history."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from paddle_automl.core.schema import PluginConfig
from paddle_automl.search.controllers.base import CONTROLLERS, Proposer
from paddle_automl.search.controllers.gaussian_process import GaussianProcessController
from paddle_automl.search.controllers.q_learning import QLearning
from paddle_automl.search.objective import Objective
from paddle_automl.search.records import History
from paddle_automl.space import Params, SearchSpace

ALONE = 40
"""Proposals of the Gaussian process before Q-learning takes part."""


@CONTROLLERS.register("auto")
class Auto(Proposer):
    """A Gaussian process proposes the first 40 trials, then it and factored Q-learning in turn, from one history.

    The process, whose kernel contains the per-decision values that Q-learning learns, is the better one while
    trials are few. Later the two have different weaknesses: the process with costs that jump, the values with
    interacting decisions. The trial's number decides which of them proposes, so a continued study goes on exactly
    as an uninterrupted one.
    """

    knows_seconds = True

    class Config(PluginConfig):
        """Options of the portfolio."""

        initial_trials: int | None = Field(default=None, ge=1)
        """Trials of the Latin hypercube before learning; None: 6, up to 10 in a space of choices alone."""

    def __init__(self, config: Config, *, space: SearchSpace, objectives: Sequence[Objective], seed: int) -> None:
        super().__init__(config, space=space, objectives=objectives, seed=seed)
        initial = config.initial_trials
        self.process: Proposer = GaussianProcessController(
            GaussianProcessController.Config(initial_trials=initial), space=space, objectives=objectives, seed=seed
        )
        self.values: Proposer = QLearning(
            QLearning.Config(initial_trials=initial), space=space, objectives=objectives, seed=seed
        )

    def propose(self, number: int, history: History) -> Params:
        """Return the proposal of the controller whose turn it is."""
        member = self.process if number < ALONE or number % 2 == 0 else self.values
        member.cost_aware = self.cost_aware
        return member.propose(number, history)
