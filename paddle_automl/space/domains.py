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
from typing import Any

import numpy as np
import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
)

Stored = None | bool | int | float | str
"""The values that Optuna can store for one decision."""


class Domain(ABC):
    """The values of one decision. `likely` is the value that the user expects to be good, None without one."""

    likely: Stored

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
        """Let the study's sampler choose, and record the choice in `trial`."""

    @abstractmethod
    def at(self, unit: float) -> Stored:
        """Return the value at a position in [0, 1); values have equal widths (in the logarithm for log domains)."""

    def sample(self, rng: np.random.Generator) -> Stored:
        """Return a value drawn uniformly (in the logarithm for log domains)."""
        return self.at(float(rng.random()))

    @abstractmethod
    def clean(self, value: Any) -> Stored:
        """Return `value` in this domain's exact form; raises ValueError if it is not a member."""

    @abstractmethod
    def values(self, steps: int) -> list[Stored]:
        """Return all values; for numbers without a step at most `steps` of them, evenly spaced."""

    @abstractmethod
    def ends(self) -> tuple[Stored, Stored]:
        """Return the lowest and the highest value; for options that are not numbers the first and the last."""

    @abstractmethod
    def describe(self) -> str:
        """Return the domain in its YAML form."""

    def encode(self, value: Any) -> Stored:
        """Return the stored form of a configuration value; raises ValueError if it is not a member."""
        return self.clean(value)

    def decode(self, stored: Any) -> Any:
        """Return the configuration value of a stored value; raises ValueError if it is not a member."""
        return self.clean(stored)

    def contains(self, stored: Any) -> bool:
        """Return whether a stored value belongs to the domain."""
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
    likely: Stored = field(default=None, kw_only=True, compare=False)

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

    def at(self, unit: float) -> Stored:
        """Return the option at a position; options have equal widths."""
        return self.stored[int(unit * len(self.stored))]

    def clean(self, value: Any) -> Stored:
        """Return the stored option that equals `value`."""
        return self.stored[self.index(value)]

    def index(self, stored: Any) -> int:
        """Return the position of a stored option; raises ValueError if there is none."""
        for position, option in enumerate(self.stored):
            if _same(option, stored):
                return position
        raise ValueError(f"{stored!r} is not among {self.describe()}")

    def values(self, steps: int) -> list[Stored]:
        """Return every option."""
        return list(self.stored)

    def ends(self) -> tuple[Stored, Stored]:
        """Return the smallest and the largest number, or the first and the last option if any is not a number."""
        numbers = [value for value in self.stored if isinstance(value, int | float) and is_number(value)]
        if len(numbers) == len(self.stored):
            return min(numbers), max(numbers)
        return self.stored[0], self.stored[-1]

    def describe(self) -> str:
        """Return the options as a YAML list."""
        return json.dumps(list(self.options), ensure_ascii=False)

    def encode(self, value: Any) -> Stored:
        """Return the stored option for a configuration value.

        A resolved configuration spells out every default, so an option also matches a mapping that has all of its
        keys with the same values; the option with the most keys wins.
        """
        matches = [
            (_weight(option), -position) for position, option in enumerate(self.options) if accepts(option, value)
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


def is_number(value: Any) -> bool:
    """Return whether `value` is a finite number; true and false are not numbers."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _store(option: Any) -> Stored:
    if option is None or isinstance(option, bool | int | float | str):
        return option
    return json.dumps(option, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def accepts(option: Any, value: Any) -> bool:
    """Return whether a configuration's value is an option, or a section or list that the option leads to."""
    return _same(option, value) or _covers(option, value)


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
    if isinstance(value, list | tuple) and isinstance(option, list | tuple):
        return len(value) == len(option) and all(
            accepts(inner, given) for inner, given in zip(option, value, strict=True)
        )
    if isinstance(value, Mapping) and isinstance(option, Mapping):
        return all(key in value and accepts(inner, value[key]) for key, inner in option.items())
    return False


def _weight(option: Any) -> int:
    if isinstance(option, Mapping):
        return 1 + sum(_weight(inner) for inner in option.values())
    if isinstance(option, list | tuple):
        return 1 + sum(_weight(inner) for inner in option)
    return 1
