"""The Q-table of a study in readable form: the value of each choice of each decision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from paddle_automl.search.learning.bins import Bins
from paddle_automl.search.learning.columns import Array
from paddle_automl.search.learning.encoding import Encoding
from paddle_automl.search.learning.factored_q import FactoredQ
from paddle_automl.search.learning.metaqnn import Replay
from paddle_automl.search.learning.observations import Observations, Reader
from paddle_automl.search.learning.values import Features
from paddle_automl.search.objective import Objective
from paddle_automl.search.records import History
from paddle_automl.space import SearchSpace

PARTS = 6
"""Rows for a number's range with more values."""


@dataclass(frozen=True)
class ChoiceValue:
    """One row: a choice of a decision.

    `value` is the choice's contribution to the expected reward of a configuration, relative to the decision's mean
    over the trials; the reward is the normal score of the rank, so +1 is one standard deviation better. `spread` is
    the value's standard deviation, None if it is unknown, `count` the number of trials that made the choice.
    `after` names the previous choice in the table of MetaQNN, where the value is the expected fraction of worse
    trials.
    """

    decision: str
    choice: str
    count: int
    value: float
    spread: float | None
    after: str = ""


def q_table(space: SearchSpace, history: History, objectives: Sequence[Objective]) -> list[ChoiceValue]:
    """Return the values that factored Q-learning learns from a history; empty without a usable trial.

    Several objectives get equal weights.
    """
    encoding, seen = _read(space, history, objectives)
    if not seen.usable:
        return []
    q = FactoredQ(Features(encoding))
    weights = q.posterior(seen.rows, seen.costs)
    bins = Bins(encoding, PARTS)
    active = encoding.active(seen.rows)
    table: list[ChoiceValue] = []
    for j, part in q.features.slices.items():
        points, labels = _points(encoding, bins, j)
        features = q.features.of_column(j, points)
        used = seen.rows[active[:, j], j]
        if len(used):
            features = features - q.features.of_column(j, used).mean(axis=0)
        values = features @ weights.mean[part]
        spreads = np.sqrt(((features @ weights.root[part]) ** 2).sum(axis=1))
        counts = np.bincount([bins.choice(j, float(u)) for u in used], minlength=len(points)) if len(used) else None
        for place, label in enumerate(labels):
            count = 0 if counts is None else int(counts[place])
            table.append(ChoiceValue(encoding.names[j], label, count, float(values[place]), float(spreads[place])))
    return table


def metaqnn_table(
    space: SearchSpace, history: History, objectives: Sequence[Objective], seed: int = 0
) -> list[ChoiceValue]:
    """Return the action values of MetaQNN's states, with its published settings.

    `spread` is the standard deviation of the rewards of the trials that made the choice in that state, None without
    such trials.
    """
    encoding, seen = _read(space, history, objectives)
    if not seen.usable:
        return []
    bins = Bins(encoding, PARTS)
    replay = Replay(bins, seed, 0.5, 0.01, 1.0, 128)
    table: list[ChoiceValue] = []
    rewards = replay.rewards(seen)
    for state, values in sorted(replay.table(seen).values.items()):
        decision, before, choice = state
        _, labels = _points(encoding, bins, decision)
        after = "" if before < 0 else f"{encoding.names[before]}={_points(encoding, bins, before)[1][choice]}"
        for action, value in enumerate(values):
            met = rewards.get((state, action), [])
            spread = float(np.std(met)) if met else None
            table.append(ChoiceValue(encoding.names[decision], labels[action], len(met), value, spread, after))
    return table


def _read(space: SearchSpace, history: History, objectives: Sequence[Objective]) -> tuple[Encoding, Observations]:
    encoding = Encoding(space)
    return encoding, Reader(encoding, objectives).read(history, [1.0 / len(objectives)] * len(objectives))


def _points(encoding: Encoding, bins: Bins, j: int) -> tuple[Array, list[str]]:
    """Return a coordinate in the middle of each of a decision's choices [n], and their names."""
    column, count = encoding.columns[j], bins.counts[j]
    points = np.array([bins.coordinate(j, choice, 0.5) for choice in range(count)])
    if column.category or column.size == count:
        return points, [_text(column.decode(float(point))) for point in points]
    ends = [(bins.coordinate(j, choice, 0.0), bins.coordinate(j, choice, 1.0 - 1e-9)) for choice in range(count)]
    return points, [f"{_text(column.decode(low))} .. {_text(column.decode(high))}" for low, high in ends]


def _text(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
