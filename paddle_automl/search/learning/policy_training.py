"""REINFORCE and PPO over a study's trials, in the order of their numbers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import numpy as np

from paddle_automl.search.learning.bins import Bins, Step
from paddle_automl.search.learning.columns import Array
from paddle_automl.search.learning.observations import Observations
from paddle_automl.search.learning.policies import Actions, Adam, Batch, Policy, probabilities
from paddle_automl.search.learning.rewards import rank_rewards

BASELINE_DECAY, ADVANTAGE_LIMIT = 0.9, 3.0
CLIP, EPOCHS = 0.2, 4


class Trainer(ABC):
    """Improves a policy with every trial, or with every batch of trials.

    Its state is a function of the trials read so far, always in the order of their numbers, so the order of results
    does not matter. As in A3C (Mnih et al. 2016, arXiv 1602.01783) a trial updates the shared policy by the
    gradient at the present parameters, although an older policy chose it.
    """

    batch_size = 1

    def __init__(self, policy: Policy, actions: Actions, rate: float, entropy: float) -> None:
        self.policy = policy
        self.actions = actions
        self.entropy = entropy
        self.read = 0
        self._adam = Adam(rate)

    @abstractmethod
    def update(self, batch: Batch, costs: Array) -> None:
        """Learn from the trials of `batch`, the last ones in `costs` [N]."""

    def _ascend(self, batch: Batch, factors: Callable[[Array], Array]) -> None:
        """Take one step up the gradient of ``sum(factors * log p) + entropy bonus``.

        `factors(p)` are the weights [B, T] of the steps' log-probabilities, given those of the actions taken.
        """
        logits, memory = self.policy.forward(batch)
        chances = probabilities(logits, batch.allowed)
        weights = np.where(batch.steps, factors((chances * batch.taken).sum(-1)), 0.0)
        slopes = weights[..., None] * (batch.taken - chances)
        logs = np.log(np.maximum(chances, 1e-12))
        surprise = -(chances * logs).sum(-1, keepdims=True)
        # The gradient of the entropy of a softmax: -p (log p + H).
        slopes = slopes - self.entropy * chances * (logs + surprise)
        self._adam.ascend(self.policy.parameters, self.policy.backward(memory, slopes / len(batch.actions)))


class Reinforce(Trainer):
    """REINFORCE (Williams 1992) with a moving average as baseline (Zoph and Le 2016, section 3.2).

    Deliberate differences: the advantage is divided by the costs' interquartile range and clipped at +-3, because
    costs have no common scale and heavy tails; the reward is not cubed for the same reason.
    """

    def __init__(self, policy: Policy, actions: Actions, rate: float, entropy: float) -> None:
        super().__init__(policy, actions, rate, entropy)
        self._baseline: float | None = None

    def update(self, batch: Batch, costs: Array) -> None:
        """Learn from one trial."""
        reward = -float(costs[-1])
        if self._baseline is None:
            self._baseline = reward
        self._baseline = BASELINE_DECAY * self._baseline + (1.0 - BASELINE_DECAY) * reward
        low, high = np.percentile(costs, [25, 75])
        spread = float(high - low) or abs(reward) or 1.0
        advantage = float(np.clip((reward - self._baseline) / spread, -ADVANTAGE_LIMIT, ADVANTAGE_LIMIT))
        self._ascend(batch, lambda taken: np.full(taken.shape, advantage))


class Ppo(Trainer):
    """Proximal policy optimisation (Schulman et al. 2017, arXiv 1707.06347, eq. 7), four epochs per batch.

    The advantage is a trial's rank among all so far, minus the batch's mean, divided by its standard deviation. The
    old policy is the one before the batch: with one worker it chose the batch's trials; with several it is the best
    approximation.
    """

    batch_size = 10

    def update(self, batch: Batch, costs: Array) -> None:
        """Learn from one batch."""
        ranks = rank_rewards(costs)[-len(batch.actions) :]
        advantages = ((ranks - ranks.mean()) / (ranks.std() + 1e-8))[:, None]
        logits, _ = self.policy.forward(batch)
        old = (probabilities(logits, batch.allowed) * batch.taken).sum(-1)

        def factors(taken: Array) -> Array:
            ratio = taken / np.maximum(old, 1e-12)
            # min(ratio A, clip(ratio) A) has no slope where the ratio is outside the allowed range on A's side.
            cut = ((advantages > 0) & (ratio > 1 + CLIP)) | ((advantages < 0) & (ratio < 1 - CLIP))
            return np.where(cut, 0.0, ratio * advantages)

        for _ in range(EPOCHS):
            self._ascend(batch, factors)


class PolicyReader:
    """Caches a trained policy, so that a longer history only needs its new trials."""

    def __init__(self, bins: Bins, make: Callable[[], Trainer]) -> None:
        self._bins = bins
        self._make = make
        self._trainer = make()
        self._mark = (b"", b"")

    def trained(self, seen: Observations) -> Trainer:
        """Return the trainer after all complete batches of the history."""
        if self._marked(seen, self._trainer.read) != self._mark:
            self._trainer = self._make()
        trainer = self._trainer
        while trainer.read + trainer.batch_size <= len(seen):
            end = trainer.read + trainer.batch_size
            played: list[list[Step]] = [self._bins.steps(row) for row in seen.rows[trainer.read : end]]
            trainer.update(trainer.actions.batch(played), seen.costs[:end])
            trainer.read = end
        self._mark = self._marked(seen, trainer.read)
        return trainer

    @staticmethod
    def _marked(seen: Observations, count: int) -> tuple[bytes, bytes]:
        return seen.rows[:count].tobytes(), seen.costs[:count].tobytes()
