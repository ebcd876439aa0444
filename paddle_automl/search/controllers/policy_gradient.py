"""Policy gradients: REINFORCE and PPO over factored and recurrent policies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from pydantic import Field

from paddle_automl.core.schema import PluginConfig
from paddle_automl.core.seeds import generator
from paddle_automl.search.controllers._learner import Learner
from paddle_automl.search.controllers.base import CONTROLLERS
from paddle_automl.search.learning.bins import Bins, Step
from paddle_automl.search.learning.columns import Array
from paddle_automl.search.learning.observations import Observations
from paddle_automl.search.learning.policies import Actions, FactoredPolicy, LstmPolicy, Policy, probabilities
from paddle_automl.search.learning.policy_training import PolicyReader, Ppo, Reinforce, Trainer
from paddle_automl.search.objective import Objective
from paddle_automl.space import SearchSpace

DRAWS = 10
RATES = {
    ("reinforce", "factored"): 0.1,
    ("ppo", "factored"): 0.15,
    ("reinforce", "lstm"): 0.01,
    ("ppo", "lstm"): 0.02,
}
"""Default learning rates: the paper's 0.0006 is for 12,800 trials, these are for hundreds."""


@CONTROLLERS.register("policy_gradient")
class PolicyGradient(Learner):
    """Draws trials from a policy and raises the probability of good ones (policy gradient).

    REINFORCE: Zoph and Le 2016, arXiv 1611.01578; PPO: Schulman et al. 2017, arXiv 1707.06347. The policy is
    factored (one softmax per decision) or an LSTM that reads the choices made before. Ranges of numbers are divided
    into 6 intervals, and a value is drawn uniformly inside the interval. Learning follows the order of the trials'
    numbers, not of their ends.
    """

    class Config(PluginConfig):
        """Options of policy gradients."""

        algorithm: Literal["ppo", "reinforce"] = "ppo"
        """How the policy is improved: after batches of 10 trials, or after every trial."""
        policy: Literal["factored", "lstm"] = "factored"
        """Decisions drawn independently, or each given those before it."""
        learning_rate: float | None = Field(default=None, gt=0)
        """Learning rate of Adam; None: a value that suits the algorithm and the policy in searches of some hundred
        trials."""
        entropy: float = Field(default=0.01, ge=0)
        """Weight of the entropy bonus that keeps the policy from converging too early."""

    def __init__(self, config: Config, *, space: SearchSpace, objectives: Sequence[Objective], seed: int) -> None:
        super().__init__(config, space=space, objectives=objectives, seed=seed)
        self._bins = Bins(self.encoding, parts=6)
        self._actions = Actions(self._bins.counts)
        self._trained = PolicyReader(self._bins, self._trainer)

    @property
    def initial(self) -> int:
        """None: the untrained policy is already random."""
        return 0

    def learned(self, number: int, seen: Observations, rng: np.random.Generator) -> Array | None:
        """Return an untried sample of the policy."""
        policy = self._trained.trained(seen).policy

        def choose(decision: int, steps: Sequence[Step]) -> int:
            batch = self._actions.batch([[*steps, (decision, 0)]])
            logits, _ = policy.forward(batch)
            chances = probabilities(logits[0, -1], self._actions.allowed[decision])
            action = int(np.searchsorted(np.cumsum(chances), rng.random() * chances.sum(), side="right"))
            return action - int(self._actions.starts[decision])

        for _ in range(DRAWS):
            row = self._bins.play(choose, rng)
            if self.encoding.keys(row[None])[0] not in seen.seen:
                return row
        return None

    def _trainer(self) -> Trainer:
        policy: Policy
        if self.config.policy == "factored":
            policy = FactoredPolicy(self._actions)
        else:
            policy = LstmPolicy(self._actions, generator(self.seed, "controller", self.name, "weights"))
        rate = self.config.learning_rate or RATES[self.config.algorithm, self.config.policy]
        kind = Ppo if self.config.algorithm == "ppo" else Reinforce
        return kind(policy, self._actions, rate, self.config.entropy)
