"""Domains of numbers: whole or real; uniform, in steps, or uniform in the logarithm."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import numpy as np
import optuna
from optuna.distributions import FloatDistribution, IntDistribution

from paddle_automl.space.domains import Domain, Stored, is_number


@dataclass(frozen=True)
class Integer(Domain):
    """Whole numbers from `low` to `high`, both included, in steps or uniform in the logarithm."""

    low: int
    high: int
    step: int | None = None
    log: bool = False
    likely: Stored = field(default=None, kw_only=True, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "high", self.high - (self.high - self.low) % (self.step or 1))

    @property
    def size(self) -> int | None:
        """Number of whole numbers."""
        return (self.high - self.low) // (self.step or 1) + 1

    @property
    def distribution(self) -> IntDistribution:
        """Optuna's whole numbers."""
        return IntDistribution(self.low, self.high, log=self.log, step=self.step or 1)

    def suggest(self, trial: optuna.Trial, name: str) -> Stored:
        """Let the sampler choose a number."""
        return trial.suggest_int(name, self.low, self.high, step=self.step or 1, log=self.log)

    def at(self, unit: float) -> Stored:
        """Return the number at a position; numbers have equal widths, or equal widths in the logarithm."""
        if not self.log:
            return self.low + (self.step or 1) * int(unit * (self.size or 1))
        low, high = math.log(self.low - 0.5), math.log(self.high + 0.5)
        return min(max(round(math.exp(low + unit * (high - low))), self.low), self.high)

    def clean(self, value: Any) -> Stored:
        """Return the number as int."""
        if not is_number(value) or value != int(value):
            raise ValueError(f"{value!r} is not a whole number, as in {self.describe()}")
        if not self.low <= value <= self.high or (value - self.low) % (self.step or 1):
            raise ValueError(f"{value!r} is not in {self.describe()}")
        return int(value)

    def values(self, steps: int) -> list[Stored]:
        """Return all numbers, or `steps` of them if there are more and the domain has no step."""
        if self.step is not None or (self.size or 0) <= steps:
            return list(range(self.low, self.high + 1, self.step or 1))
        return list(sorted({round(point) for point in _spaced(self.low, self.high, steps, self.log)}))

    def ends(self) -> tuple[Stored, Stored]:
        """Return the bounds."""
        return self.low, self.high

    def describe(self) -> str:
        """Return the domain as it would stand in YAML."""
        extra = (f", step: {self.step}" if self.step else "") + (", log: true" if self.log else "")
        return f"{{int: [{self.low}, {self.high}]{extra}}}"


@dataclass(frozen=True)
class Real(Domain):
    """Real numbers from `low` to `high`, both included, in steps or uniform in the logarithm."""

    low: float
    high: float
    step: float | None = None
    log: bool = False
    likely: Stored = field(default=None, kw_only=True, compare=False)

    def __post_init__(self) -> None:
        if self.step is not None:
            object.__setattr__(self, "high", self._at((self.size or 1) - 1))

    @property
    def size(self) -> int | None:
        """Number of steps, None without a step."""
        if self.low == self.high:
            return 1
        if self.step is None:
            return None
        return int((_decimal(self.high) - _decimal(self.low)) / _decimal(self.step)) + 1

    @property
    def distribution(self) -> FloatDistribution:
        """Optuna's numbers."""
        return FloatDistribution(self.low, self.high, log=self.log, step=self.step)

    def suggest(self, trial: optuna.Trial, name: str) -> Stored:
        """Let the sampler choose a number."""
        return self.clean(trial.suggest_float(name, self.low, self.high, step=self.step, log=self.log))

    def at(self, unit: float) -> Stored:
        """Return the number at a position, linear in the number or in its logarithm."""
        if self.step is not None:
            return self._at(int(unit * (self.size or 1)))
        if self.log:
            low, high = math.log(self.low), math.log(self.high)
            number = math.exp(low + unit * (high - low))
        else:
            number = self.low + unit * (self.high - self.low)
        return min(max(number, self.low), self.high)

    def clean(self, value: Any) -> Stored:
        """Return the number as float, without the rounding noise of steps."""
        if not is_number(value):
            raise ValueError(f"{value!r} is not a number, as in {self.describe()}")
        number = float(value)
        if self.step is not None:
            position = (number - self.low) / self.step
            if abs(position - round(position)) < 1e-6 and 0 <= round(position) < (self.size or 1):
                return self._at(round(position))
        elif self.low <= number <= self.high:
            return number
        raise ValueError(f"{value!r} is not in {self.describe()}")

    def values(self, steps: int) -> list[Stored]:
        """Return every step, or `steps` numbers where no step was given."""
        if self.step is not None:
            return [self._at(position) for position in range(self.size or 1)]
        if self.low == self.high:
            return [self.low]
        return list(_spaced(self.low, self.high, steps, self.log))

    def ends(self) -> tuple[Stored, Stored]:
        """Return the bounds."""
        return self.low, self.high

    def describe(self) -> str:
        """Return the domain as it would stand in YAML."""
        if self.log:
            return f"{{log: [{self.low:g}, {self.high:g}]}}"
        extra = f", step: {self.step:g}" if self.step is not None else ""
        return f"{{float: [{self.low:g}, {self.high:g}]{extra}}}"

    def _at(self, position: int) -> float:
        # In decimals, so that 0.1 + 2 * 0.1 is 0.3 and a value has only one spelling.
        return float(_decimal(self.low) + position * _decimal(self.step or 0.0))


def _spaced(low: float, high: float, steps: int, log: bool) -> list[float]:
    if steps == 1:
        return [low]
    points = np.geomspace(low, high, steps) if log else np.linspace(low, high, steps)
    inner = [float(f"{point:.12g}") for point in points[1:-1]]
    return [low, *inner, high]


def _decimal(number: float) -> Decimal:
    return Decimal(repr(number))
