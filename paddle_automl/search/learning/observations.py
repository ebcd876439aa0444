"""A study's history for learners: rows and one cost per trial."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from paddle_automl.search.learning.columns import Array
from paddle_automl.search.learning.encoding import Encoding
from paddle_automl.search.objective import Costs, Objective, excess_of_costs, scalarize
from paddle_automl.search.records import History
from paddle_automl.space import Params


@dataclass(frozen=True)
class Observations:
    """Ended trials, by number.

    `rows` [N, D] and `costs` [N] hold every trial, failed ones with the worst cost seen. `pending` [P, D] are the
    running trials. `seen` are the keys of both. `best` are indices of different rows, best first; repeated trials
    count by their mean. `seconds` [N] are the times of whole trials, 0 if unknown.
    """

    rows: Array
    costs: Array
    pending: Array
    seen: set[bytes]
    best: NDArray[np.intp]
    usable: int
    numbers: tuple[int, ...]
    seconds: Array

    def __len__(self) -> int:
        return len(self.costs)


class Reader:
    """Reads histories for one controller; rows are cached, because most of a history was read before."""

    def __init__(self, encoding: Encoding, objectives: Sequence[Objective]) -> None:
        self.encoding = encoding
        self.objectives = objectives
        self._rows: dict[int, tuple[Params, Array]] = {}

    def read(self, history: History, weights: Sequence[float]) -> Observations:
        """Return the observations; several objectives become one cost by their `weights` (ParEGO).

        A trial beyond an objective's limit is worse than all within the limits, by its excess.
        """
        rows = self._stack([self._row(o.number, o.params) for o in history.finished])
        costs, usable = self._costs(history, weights)
        pending = self._stack([self.encoding.encode(params) for params in history.running])
        keys = self.encoding.keys(rows)
        whole = [o.seconds if o.costs is not None and not o.pruned else 0.0 for o in history.finished]
        seconds = np.array(whole, dtype=float)
        numbers = tuple(observation.number for observation in history.finished)
        seen = {*keys, *self.encoding.keys(pending)}
        return Observations(rows, costs, pending, seen, _best(keys, costs), usable, numbers, seconds)

    def _row(self, number: int, params: Params) -> Array:
        known = self._rows.get(number)
        if known is None or known[0] != params:
            known = self._rows[number] = (params, self.encoding.encode(params))
        return known[1]

    def _stack(self, rows: list[Array]) -> Array:
        return np.array(rows) if rows else np.empty((0, self.encoding.width))

    def _costs(self, history: History, weights: Sequence[float]) -> tuple[Array, int]:
        kept = [o for o in history.finished if o.costs is not None and np.isfinite(o.costs).all()]
        if not kept:
            return np.zeros(len(history.finished)), 0
        scalar = one_cost([o.costs or () for o in kept], weights, self.objectives)
        of = dict(zip((o.number for o in kept), scalar.tolist(), strict=True))
        worst = float(scalar.max())
        return np.array([of.get(o.number, worst) for o in history.finished]), len(kept)


def one_cost(costs: Sequence[Costs], weights: Sequence[float], objectives: Sequence[Objective]) -> Array:
    """Return one cost [N] per trial (`scalarize`); trials beyond a limit are behind all others, by their excess."""
    scalar = np.array(scalarize(costs, weights), dtype=float)
    excess = np.array([excess_of_costs(one, objectives) for one in costs])
    if (excess > 0).any():
        span = float(np.ptp(scalar)) or 1.0
        scalar = np.where(excess > 0, float(scalar.max()) + span * np.minimum(excess, 10.0), scalar)
    return scalar


def within_limits_first(costs: Costs, objectives: Sequence[Objective]) -> tuple[float, ...]:
    """Return a key to sort trials by: the excess over the limits, 0 within all of them, then the costs."""
    return (excess_of_costs(costs, objectives), *costs)


def _best(keys: list[bytes], costs: Array) -> NDArray[np.intp]:
    groups: dict[bytes, list[int]] = {}
    for position, key in enumerate(keys):
        groups.setdefault(key, []).append(position)
    first = np.array([positions[0] for positions in groups.values()], dtype=np.intp)
    means = np.array([costs[positions].mean() for positions in groups.values()])
    return first[np.argsort(means, kind="stable")] if len(first) else first
