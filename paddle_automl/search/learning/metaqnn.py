"""Tabular Q-learning over a sequence of decisions, as in MetaQNN."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from paddle_automl.core.seeds import generator
from paddle_automl.search.learning.bins import Bins, Step
from paddle_automl.search.learning.observations import Observations
from paddle_automl.search.learning.rewards import rank_rewards

SCHEDULE = ((1.0, 1500), (0.9, 100), (0.8, 100), (0.7, 100), *((e / 10, 150) for e in range(6, 0, -1)))
"""Values of epsilon and their numbers of models (Baker et al. 2016, table 2), 2,700 in total."""

State = tuple[int, int, int]
"""The decision to take, the decision taken before it and its choice; -1 at the start."""


def epsilon(number: int, trials: int) -> float:
    """Return the fraction of random choices in proposal `number`: the paper's schedule scaled to `trials`."""
    done = number / trials * sum(count for _, count in SCHEDULE)
    for value, count in SCHEDULE:
        done -= count
        if done < 0:
            return value
    return SCHEDULE[-1][0]


@dataclass
class Table:
    """Action values by state; a new state has `start` for every action."""

    bins: Bins
    start: float
    values: dict[State, list[float]] = field(default_factory=dict)

    def of(self, state: State) -> list[float]:
        """Return the values of all actions in a state; they may be changed in place."""
        known = self.values.get(state)
        if known is None:
            known = self.values[state] = [self.start] * self.bins.counts[state[0]]
        return known

    def replay(self, steps: Sequence[Step], reward: float, rate: float, discount: float) -> None:
        """Update the values along one trial in reversed order.

        Q(s, u) <- (1 - a) Q(s, u) + a (r + g max Q(s', .)) (Baker et al. 2016, eq. 3), r = 0 before the end.
        """
        target = reward
        for place in range(len(steps) - 1, -1, -1):
            values = self.of(state_at(steps, place))
            action = steps[place][1]
            values[action] += rate * (target - values[action])
            target = discount * max(values)


def state_at(steps: Sequence[Step], place: int) -> State:
    """Return the state before the decision at `place`."""
    decision = steps[place][0]
    return (decision, -1, -1) if place == 0 else (decision, *steps[place - 1])


@dataclass
class Replay:
    """The table after the first trials of a history, cached so that a longer history only needs its new trials.

    The replayed trials are drawn from a generator of the seed and the number of trials so far.
    """

    bins: Bins
    seed: int
    start: float
    rate: float
    discount: float
    samples: int
    _table: Table | None = None
    _read: tuple[tuple[int, ...], bytes] = ((), b"")

    def table(self, seen: Observations) -> Table:
        """Return the table learned from all trials in the order of their numbers."""
        done = len(self._read[0])
        if self._table is None or self._mark(seen, done) != self._read:
            self._table, done = Table(self.bins, self.start), 0
        played = [self.bins.steps(row) for row in seen.rows]
        for count in range(done + 1, len(seen) + 1):
            rewards = rank_rewards(seen.costs[:count]).tolist()
            rng = generator(self.seed, "metaqnn", count)
            # The trial itself once, then a sample of all trials so far, including it.
            for index in [count - 1, *rng.integers(count, size=self.samples).tolist()]:
                self._table.replay(played[index], rewards[index], self.rate, self.discount)
        self._read = self._mark(seen, len(seen))
        return self._table

    def rewards(self, seen: Observations) -> dict[tuple[State, int], list[float]]:
        """Return the rewards of the trials that took an action in a state."""
        found: dict[tuple[State, int], list[float]] = {}
        for row, reward in zip(seen.rows, rank_rewards(seen.costs).tolist(), strict=True):
            steps = self.bins.steps(row)
            for place, (_, action) in enumerate(steps):
                found.setdefault((state_at(steps, place), action), []).append(reward)
        return found

    @staticmethod
    def _mark(seen: Observations, count: int) -> tuple[tuple[int, ...], bytes]:
        return seen.numbers[:count], seen.costs[:count].tobytes() + seen.rows[:count].tobytes()
