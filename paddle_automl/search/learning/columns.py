"""One decision as a coordinate: the position of its value in 0..1, or the index of its option."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from paddle_automl.space import Choice, Domain, Integer, Real, Stored
from paddle_automl.space.domains import is_number

Array = NDArray[np.float64]
Indices = NDArray[np.intp]

LONGEST_GRID = 100_000
"""Whole numbers with more values than this are treated as real numbers and rounded at the end."""
NEUTRAL, NO_OPTION = 0.5, -1.0
"""Coordinate of an inactive number, and of an inactive choice."""


class Column:
    """The coordinate of one decision.

    The coordinate of a *category* is the index of its option. A *grid* (whole numbers, steps, and choices of three
    or more numbers, which have a useful order) and a *real* number have a position in 0..1. `size` is the number of
    values, None for a real number.
    """

    def __init__(self, domain: Domain) -> None:
        self.domain = domain
        self.size = domain.size
        self.category = isinstance(domain, Choice) and not _ordered(domain)
        self._values: list[Stored] | None = None
        self.positions: Array | None = None
        if isinstance(domain, Choice) and not self.category:
            self._values = sorted(domain.stored, key=lambda value: float(str(value)))
        if self.size is not None and self.size > LONGEST_GRID:
            self.size = None
        if self.size is not None and not self.category:
            self.positions = self._grid(self.size)
            self._borders = (self.positions[1:] + self.positions[:-1]) / 2

    @property
    def neutral(self) -> float:
        """The coordinate while the decision is inactive."""
        return NO_OPTION if self.category else NEUTRAL

    def index(self, coordinates: Array) -> Indices:
        """Return the indices [N] of the values of a category or a grid."""
        if self.category:
            return coordinates.astype(np.intp)
        return np.searchsorted(self._borders, coordinates)

    def snap(self, coordinates: Array) -> Array:
        """Return the nearest coordinates [N] that represent values."""
        if self.positions is None:
            return coordinates
        return self.positions[self.index(coordinates)]

    def of_index(self, indices: Indices) -> Array:
        """Return the coordinates [N] of indices of values."""
        return indices.astype(float) if self.positions is None else self.positions[indices]

    def of_uniform(self, uniform: Array) -> Array:
        """Return the coordinates [N] of uniform numbers in [0, 1): every value is equally likely."""
        if self.size is None:
            return uniform
        if isinstance(self.domain, Integer) and self.domain.log:
            low, high = np.log(self.domain.low - 0.5), np.log(self.domain.high + 0.5)
            values = np.rint(np.exp(low + uniform * (high - low))) - self.domain.low
            return self.of_index(np.clip(values, 0, self.size - 1).astype(np.intp))
        return self.of_index((uniform * self.size).astype(np.intp))

    def encode(self, value: Any) -> float:
        """Return the coordinate of a stored value."""
        domain = self.domain
        if isinstance(domain, Choice):
            if self._values is None:
                return float(domain.index(value))
            return float(self.of_index(np.array([self._values.index(domain.clean(value))]))[0])
        if not isinstance(domain, Integer | Real):
            raise TypeError(f"no coordinate for {domain.describe()}")
        if domain.high == domain.low:
            return 0.0
        if domain.log:
            position = (np.log(value) - np.log(domain.low)) / (np.log(domain.high) - np.log(domain.low))
        else:
            position = (value - domain.low) / (domain.high - domain.low)
        return float(position)

    def decode(self, coordinate: float) -> Stored:
        """Return the stored value of a coordinate."""
        domain = self.domain
        if isinstance(domain, Choice):
            values = domain.stored if self._values is None else self._values
            return values[int(self.index(np.array([coordinate]))[0])]
        if not isinstance(domain, Integer | Real):
            raise TypeError(f"no coordinate for {domain.describe()}")
        if domain.log:
            low, high = np.log(domain.low), np.log(domain.high)
            number = float(np.exp(low + coordinate * (high - low)))
        else:
            number = domain.low + coordinate * (domain.high - domain.low)
        number = min(max(number, domain.low), domain.high)
        if domain.step is not None:
            number = domain.low + domain.step * round((number - domain.low) / domain.step)
        return domain.clean(round(number) if isinstance(domain, Integer) else number)

    def _grid(self, size: int) -> Array:
        if size == 1:
            return np.zeros(1)
        if isinstance(self.domain, Integer) and self.domain.log:
            logs = np.log(np.arange(self.domain.low, self.domain.high + 1, dtype=float))
            return (logs - logs[0]) / (logs[-1] - logs[0])
        return np.linspace(0.0, 1.0, size)


def _ordered(domain: Choice) -> bool:
    numbers = [value for value in domain.stored if is_number(value)]
    return len(numbers) == len(domain.stored) >= 3 and len(set(numbers)) == len(numbers)
