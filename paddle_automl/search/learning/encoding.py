"""Trials' choices as rows of numbers [N, D], one column per decision, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paddle_automl.search.learning.columns import Array, Column
from paddle_automl.space import Params, SearchSpace

Mask = NDArray[np.bool_]
FEWEST_STARTS, MOST_STARTS = 6, 10


class Encoding:
    """Rows [N, D] for a search space of D decisions.

    An inactive decision has a neutral coordinate (the middle of a number's range; for a choice an extra option), so
    rows in which it is inactive do not differ in it. `neutral` [D] holds these. `free` are the columns with more
    than one value, the only ones that models use. `conditions` hold, for a column that is not always active, its
    parent's column and the parent's values that activate it.
    """

    def __init__(self, space: SearchSpace) -> None:
        self.space = space
        self.columns = [Column(decision.domain) for decision in space.decisions]
        self.names = [decision.name for decision in space.decisions]
        self.width = len(self.columns)
        self.free = np.array([j for j, column in enumerate(self.columns) if column.size != 1], dtype=np.intp)
        self.categories = np.array([column.category for column in self.columns], dtype=bool)
        self.neutral = np.array([column.neutral for column in self.columns])
        place = {name: j for j, name in enumerate(self.names)}
        self.conditions: dict[int, tuple[int, Mask]] = {}
        for j, decision in enumerate(space.decisions):
            if decision.condition is not None:
                parent = place[decision.condition.decision]
                column = self.columns[parent]
                values = np.array([column.encode(value) for value in decision.condition.values])
                # One more entry, always False: the index -1 of an inactive choice.
                allowed = np.zeros((column.size or 0) + 1, dtype=bool)
                allowed[column.index(values)] = True
                self.conditions[j] = (parent, allowed)

    @cached_property
    def discrete(self) -> bool:
        """Whether every decision has finitely many values."""
        return all(column.size is not None for column in self.columns)

    @property
    def start(self) -> int:
        """Number of trials of a Latin hypercube before a model is used.

        A number is informative about its neighbours, so 6 suffice. With choices alone every option should occur
        twice, up to 10 trials.
        """
        sizes = [self.columns[j].size or 1 for j in self.free if self.categories[j]]
        if not sizes or len(sizes) < len(self.free):
            return FEWEST_STARTS
        return min(MOST_STARTS, max(FEWEST_STARTS, 2 * max(sizes)))

    def encode(self, params: Mapping[str, Any]) -> Array:
        """Return the row [D] of choices."""
        row = self.neutral.copy()
        for j, name in enumerate(self.names):
            if name in params:
                row[j] = self.columns[j].encode(params[name])
        return row

    def decode(self, row: Array) -> Params:
        """Return the choices of a row [D]."""
        active = self.active(row[None])[0]
        values = {
            name: column.decode(float(coordinate))
            for name, column, coordinate, on in zip(self.names, self.columns, row, active, strict=True)
            if on
        }
        return self.space.complete(values)

    def active(self, rows: Array) -> Mask:
        """Return which decisions [N, D] are active in each row."""
        active = np.ones(rows.shape, dtype=bool)
        for j, (parent, allowed) in self.conditions.items():
            chosen = self.columns[parent].index(rows[:, parent])
            active[:, j] = active[:, parent] & allowed[chosen]
        return active

    def settle(self, rows: Array, was_active: Mask | None = None, rng: np.random.Generator | None = None) -> Array:
        """Return rows with coordinates that represent values, neutral ones for inactive decisions.

        With `was_active` [N, D], decisions that became active are drawn from `rng`.
        """
        rows = np.column_stack([column.snap(rows[:, j]) for j, column in enumerate(self.columns)])
        # Parents first: a drawn value may activate or deactivate decisions below it.
        fresh = None if rng is None or was_active is None else self.of_uniform(rng.random(rows.shape))
        if fresh is not None and was_active is not None:
            for j, (parent, allowed) in self.conditions.items():
                chosen = self.columns[parent].index(rows[:, parent])
                new = allowed[chosen] & ~was_active[:, j]
                rows[new, j] = fresh[new, j]
        return np.where(self.active(rows), rows, self.neutral)

    def of_uniform(self, uniform: Array) -> Array:
        """Return the coordinates [N, D] of numbers in [0, 1); each decision's values are equally likely."""
        return np.column_stack([column.of_uniform(uniform[:, j]) for j, column in enumerate(self.columns)])

    def sample(self, count: int, rng: np.random.Generator) -> Array:
        """Return random rows [count, D]."""
        return self.settle(self.of_uniform(rng.random((count, self.width))))

    def latin_hypercube(self, count: int, rng: np.random.Generator) -> Array:
        """Return rows [count, D] in which each decision's range is covered evenly (McKay et al. 1979)."""
        cells = np.column_stack([rng.permutation(count) for _ in range(self.width)])
        return self.settle(self.of_uniform((cells + rng.random(cells.shape)) / count))

    def keys(self, rows: Array) -> list[bytes]:
        """Return a key per row that is equal for equal choices."""
        return [row.tobytes() for row in np.round(rows, 9) + 0.0]

    def everything(self, limit: int) -> Array | None:
        """Return all rows of a space without conditions and with at most `limit` members, else None."""
        if self.conditions or not self.discrete:
            return None
        sizes = [column.size or 1 for column in self.columns]
        if float(np.prod(np.array(sizes, dtype=float))) > limit:
            return None
        axes: Sequence[Array] = [column.of_index(np.arange(column.size or 1)) for column in self.columns]
        return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, self.width)
