"""Domains: the values that one decision may take, as Optuna distributions and as configuration values.

A choice's options may be any YAML values. Optuna keeps only scalars, so an option that is a list or a mapping
is *stored* as compact JSON text; `encode` and `decode` translate between configuration and stored values.
"""

from __future__ import annotations

import json
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import numpy as np
import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

Stored = None | bool | int | float | str
"""What Optuna keeps for one decision."""


class Domain(ABC):
    """The values of one decision."""

    @property
    @abstractmethod
    def size(self) -> int | None:
        """Number of values; None when there are infinitely many."""

    @property
    @abstractmethod
    def distribution(self) -> BaseDistribution:
        """The same domain as an Optuna distribution."""

    @abstractmethod
    def suggest(self, trial: optuna.Trial, name: str) -> Stored:
        """Let the study's sampler decide, and record the decision in `trial`."""

    @abstractmethod
    def sample(self, rng: np.random.Generator) -> Stored:
        """Return a value drawn uniformly (in the logarithm for log domains)."""

    @abstractmethod
    def clean(self, value: Any) -> Stored:
        """Return `value` exactly as this domain spells it; raises ValueError when it is no member."""

    @abstractmethod
    def values(self, steps: int) -> list[Stored]:
        """Return all values; of numbers without a step at most `steps`, evenly spaced."""

    @abstractmethod
    def ends(self) -> tuple[Stored, Stored]:
        """Return the lowest and the highest value; of options that are no numbers the first and the last."""

    @abstractmethod
    def describe(self) -> str:
        """Return the domain as it would stand in YAML."""

    def encode(self, value: Any) -> Stored:
        """Return the stored form of a configuration value; raises ValueError when it is no member."""
        return self.clean(value)

    def decode(self, stored: Any) -> Any:
        """Return the configuration value of a stored value; raises ValueError when it is no member."""
        return self.clean(stored)

    def contains(self, stored: Any) -> bool:
        """Tell whether a stored value belongs to the domain."""
        try:
            self.clean(stored)
        except ValueError:
            return False
        return True


@dataclass(frozen=True)
class Choice(Domain):
    """One of several options, each any YAML value."""

    options: tuple[Any, ...]
    stored: tuple[Stored, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "stored", tuple(_store(option) for option in self.options))

    @property
    def size(self) -> int | None:
        """Number of options."""
        return len(self.options)

    @property
    def distribution(self) -> CategoricalDistribution:
        """Categorical over the stored options."""
        return CategoricalDistribution(self.stored)

    def suggest(self, trial: optuna.Trial, name: str) -> Stored:
        """Let the sampler choose an option."""
        chosen: Stored = trial.suggest_categorical(name, self.stored)
        return chosen

    def sample(self, rng: np.random.Generator) -> Stored:
        """Return any option with equal chance."""
        return self.stored[int(rng.integers(len(self.stored)))]

    def clean(self, value: Any) -> Stored:
        """Return the stored option that equals `value`."""
        return self.stored[self.index(value)]

    def index(self, stored: Any) -> int:
        """Return the position of a stored option; raises ValueError when there is none."""
        for position, option in enumerate(self.stored):
            if _same(option, stored):
                return position
        raise ValueError(f"{stored!r} is not among {self.describe()}")

    def values(self, steps: int) -> list[Stored]:
        """Return every option."""
        return list(self.stored)

    def ends(self) -> tuple[Stored, Stored]:
        """Return the smallest and largest of numbers, else the first and the last option."""
        numbers = [value for value in self.stored if isinstance(value, int | float) and _is_number(value)]
        if len(numbers) == len(self.stored):
            return min(numbers), max(numbers)
        return self.stored[0], self.stored[-1]

    def describe(self) -> str:
        """Return the options as a YAML list."""
        return json.dumps(list(self.options), ensure_ascii=False)

    def encode(self, value: Any) -> Stored:
        """Return the stored option for a configuration value.

        A resolved configuration spells out every default, so an option also stands for a mapping that holds
        all of the option's keys with its values; the option that fixes most keys wins.
        """
        matches = [
            (_weight(option), -position)
            for position, option in enumerate(self.options)
            if _same(option, value) or _covers(option, value)
        ]
        if not matches:
            raise ValueError(f"{value!r} is not among {self.describe()}")
        return self.stored[-max(matches)[1]]

    def decode(self, stored: Any) -> Any:
        """Return the option itself."""
        return self.options[self.index(stored)]


@dataclass(frozen=True)
class OptionNames(Choice):
    """A choice of names, each of which may bring its own sub-space."""


@dataclass(frozen=True)
class Integer(Domain):
    """Whole numbers from `low` to `high`, both included, in steps or evenly in the logarithm."""

    low: int
    high: int
    step: int | None = None
    log: bool = False

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

    def sample(self, rng: np.random.Generator) -> Stored:
        """Return a number drawn evenly, or evenly in the logarithm."""
        if not self.log:
            return self.low + (self.step or 1) * int(rng.integers(self.size or 1))
        drawn = round(math.exp(rng.uniform(math.log(self.low - 0.5), math.log(self.high + 0.5))))
        return min(max(drawn, self.low), self.high)

    def clean(self, value: Any) -> Stored:
        """Return the number as int."""
        if not _is_number(value) or value != int(value):
            raise ValueError(f"{value!r} is not a whole number, as in {self.describe()}")
        if not self.low <= value <= self.high or (value - self.low) % (self.step or 1):
            raise ValueError(f"{value!r} is not in {self.describe()}")
        return int(value)

    def values(self, steps: int) -> list[Stored]:
        """Return all numbers, or `steps` of them where no step was given and there are more."""
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
    """Numbers from `low` to `high`, both included, in steps or evenly in the logarithm."""

    low: float
    high: float
    step: float | None = None
    log: bool = False

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

    def sample(self, rng: np.random.Generator) -> Stored:
        """Return a number drawn evenly, or evenly in the logarithm."""
        if self.step is not None:
            return self._at(int(rng.integers(self.size or 1)))
        if self.log:
            drawn = math.exp(rng.uniform(math.log(self.low), math.log(self.high)))
        else:
            drawn = float(rng.uniform(self.low, self.high))
        return min(max(drawn, self.low), self.high)

    def clean(self, value: Any) -> Stored:
        """Return the number as float, without the rounding noise of steps."""
        if not _is_number(value):
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
        # In decimals, so that 0.1 + 2 * 0.1 is 0.3 and a value has one spelling only.
        return float(_decimal(self.low) + position * _decimal(self.step or 0.0))


def _spaced(low: float, high: float, steps: int, log: bool) -> list[float]:
    if steps == 1:
        return [low]
    points = np.geomspace(low, high, steps) if log else np.linspace(low, high, steps)
    inner = [float(f"{point:.12g}") for point in points[1:-1]]
    return [low, *inner, high]


def _decimal(number: float) -> Decimal:
    return Decimal(repr(number))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _store(option: Any) -> Stored:
    if option is None or isinstance(option, bool | int | float | str):
        return option
    return json.dumps(option, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    return bool(one == other)


def _covers(option: Any, value: Any) -> bool:
    if isinstance(value, Mapping) and isinstance(option, str):
        return value.get("name") == option
    if isinstance(value, Mapping) and isinstance(option, Mapping):
        return all(
            key in value and (_same(inner, value[key]) or _covers(inner, value[key]))
            for key, inner in option.items()
        )
    return False


def _weight(option: Any) -> int:
    if isinstance(option, Mapping):
        return 1 + sum(_weight(inner) for inner in option.values())
    return 1
