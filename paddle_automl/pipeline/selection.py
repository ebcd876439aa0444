"""Which networks answer best together: ensemble selection on the validation items."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from paddle_automl.tasks.base import Task
from paddle_automl.tasks.metrics.base import Predictions
from paddle_automl.tasks.metrics.spelling import measure

PARTS = 5
"""Parts of the validation items, for an estimate on items by which no member was chosen."""
Score = tuple[float, float]


@dataclass(frozen=True)
class Judge:
    """Scores outputs by a metric, of which larger values are better if `maximize`; equal ones by the loss."""

    metric: str
    maximize: bool
    task: Task

    def score(self, outputs: np.ndarray, codes: np.ndarray) -> Score:
        """Return the score of outputs ``[N, K]``: the larger tuple is better."""
        # As the network would be used: with the values that the task chooses on validation, such as thresholds.
        task = self.task.tuned(outputs, codes)
        found = measure((self.metric, "loss"), Predictions(outputs, codes, task))
        value = found[self.metric] if self.maximize else -found[self.metric]
        return _or_worst(value), _or_worst(-found["loss"])


def mean_of(outputs: Sequence[np.ndarray], members: Sequence[int]) -> np.ndarray:
    """Return the mean of the outputs ``[N, K]`` of some networks, float32 as outputs are."""
    return np.mean([outputs[member] for member in members], axis=0, dtype=np.float64).astype(np.float32)


def select(outputs: Sequence[np.ndarray], codes: np.ndarray, judge: Judge, size: int) -> list[int]:
    """Return the numbers of at most `size` networks whose mean answer is best, from the first one, the winner, on.

    Forward selection (Caruana et al. 2004, Ensemble Selection from Libraries of Models) without replacement: the
    network that improves the mean most is added, until none does.
    """
    members, best = [0], judge.score(outputs[0], codes)
    while len(members) < min(size, len(outputs)):
        others = [number for number in range(len(outputs)) if number not in members]
        found = [(judge.score(mean_of(outputs, [*members, number]), codes), -number) for number in others]
        score, number = max(found)
        if score <= best:
            break
        members, best = [*members, -number], score
    return members


def honest_mean(
    outputs: Sequence[np.ndarray], codes: np.ndarray, judge: Judge, size: int, rng: np.random.Generator
) -> np.ndarray:
    """Return the mean answers ``[N, K]`` of members that are chosen without the item in question.

    The items are cut into `PARTS` random parts, and for each the members are chosen by the others: the best of many
    ensembles on some items looks better there than it is.
    """
    found = np.empty_like(outputs[0])
    order = rng.permutation(len(codes))
    for part in np.array_split(order, min(PARTS, len(codes))):
        others = np.setdiff1d(order, part)
        if len(others):
            members = select([values[others] for values in outputs], codes[others], judge, size)
        else:
            members = [0]
        found[part] = mean_of([values[part] for values in outputs], members)
    return found


def _or_worst(value: float) -> float:
    return value if math.isfinite(value) else -math.inf
