"""Rows as sequences of discrete choices, for tables and policies over categories."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from paddle_automl.search.learning.columns import Array
from paddle_automl.search.learning.encoding import Encoding

Step = tuple[int, int]
"""Index of a decision and index of its choice."""


class Bins:
    """Each free decision's choices: options, the values of short grids, or equal intervals of a number's range.

    `counts` [D] holds the numbers of choices; 1 for a decision with a single value, which is not a step.
    """

    def __init__(self, encoding: Encoding, parts: int) -> None:
        self.encoding = encoding
        self.parts = parts
        self.free = {int(j) for j in encoding.free}
        self.counts = [self._count(j) for j in range(encoding.width)]

    def _count(self, j: int) -> int:
        column = self.encoding.columns[j]
        if j not in self.free:
            return 1
        if column.category:
            return column.size or 1
        return min(self.parts, column.size or self.parts)

    def steps(self, row: Array) -> list[Step]:
        """Return the choices of a row [D], active free decisions in order."""
        active = self.encoding.active(row[None])[0]
        return [
            (j, self.choice(j, float(row[j]))) for j in range(self.encoding.width) if active[j] and j in self.free
        ]

    def choice(self, j: int, coordinate: float) -> int:
        """Return the index of the choice for a coordinate."""
        column = self.encoding.columns[j]
        if column.size is not None:
            index = int(column.index(np.array([coordinate]))[0])
            return index if column.category else index * self.counts[j] // column.size
        return min(self.counts[j] - 1, int(coordinate * self.counts[j]))

    def coordinate(self, j: int, choice: int, uniform: float) -> float:
        """Return the coordinate of a choice; `uniform` in [0, 1) selects a value inside an interval."""
        column, count = self.encoding.columns[j], self.counts[j]
        if column.category:
            return float(choice)
        if column.size is None:
            return (choice + uniform) / count
        # The grid values whose index falls into this interval, as in `choice`.
        low = -(-choice * column.size // count)
        high = -(-(choice + 1) * column.size // count)
        return float(column.of_index(np.array([low + int(uniform * (high - low))]))[0])

    def play(self, choose: Callable[[int, Sequence[Step]], int], rng: np.random.Generator) -> Array:
        """Return the row [D] of a sequence of choices, each made by `choose(decision, steps so far)`."""
        row = self.encoding.neutral.copy()
        active = [True] * self.encoding.width
        steps: list[Step] = []
        for j, column in enumerate(self.encoding.columns):
            if j in self.encoding.conditions:
                parent, allowed = self.encoding.conditions[j]
                chosen = self.encoding.columns[parent].index(row[[parent]])[0]
                active[j] = active[parent] and bool(allowed[chosen])
            if not active[j]:
                continue
            if j not in self.free:
                row[j] = column.of_index(np.zeros(1, dtype=np.intp))[0]
                continue
            choice = choose(j, steps)
            row[j] = self.coordinate(j, choice, float(rng.random()))
            steps.append((j, choice))
        return row
