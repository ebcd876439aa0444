"""The interface of benchmark tasks: a search space, noisy observations, and the true cost."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from paddle_automl.search.learning.columns import Array
from paddle_automl.space import Params, SearchSpace


@dataclass(frozen=True)
class Observation:
    """One evaluation: the observed cost, and the number of its run."""

    cost: float
    run: int


class Task(ABC):
    """A completely known function to minimize.

    `best` is the lowest true cost, `typical` the median over the space. The *normalized regret* of a cost is its
    distance to the best cost divided by the distance between the two: 0 is perfect, 1 is no better than half of all
    configurations.
    """

    name: str
    space: SearchSpace
    best: float
    typical: float

    @abstractmethod
    def observe(self, params: Params, rng: np.random.Generator, used: Sequence[int]) -> Observation:
        """Return one noisy evaluation; a run in `used` is used again only if there is no other."""

    @abstractmethod
    def truth(self, params: Params) -> float:
        """Return the true cost."""

    def shown(self, params: Params) -> dict[str, float]:
        """Return further values of a configuration that are printed, but not optimized."""
        return {}

    def regret(self, params: Params) -> float:
        """Return the normalized regret of a configuration."""
        return max(0.0, (self.truth(params) - self.best) / (self.typical - self.best))


@dataclass(frozen=True, eq=False)
class Table(Task):
    """All configurations, evaluated beforehand: `costs` [n_1, ..., n_D, R] of R runs, NaN if one is missing.

    `choices` are the values of each decision in the order of the axes. `others` are further values [n_1, ..., n_D].
    The true cost is the mean of the runs. `likely` are the values that the domains state as likely, if any.
    """

    name: str
    choices: Mapping[str, Sequence[Any]]
    costs: Array
    others: Mapping[str, Array] = field(default_factory=dict)
    likely: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def space(self) -> SearchSpace:  # type: ignore[override]
        """One choice for each axis."""
        return SearchSpace.parse(
            {
                key: {"choice": list(values), **({"likely": self.likely[key]} if key in self.likely else {})}
                for key, values in self.choices.items()
            }
        )

    @cached_property
    def content(self) -> str:
        """A hash of the values of the decisions and of all costs: tables of one name may be different ones."""
        known = [[key, list(map(repr, values))] for key, values in self.choices.items()]
        found = hashlib.sha256(json.dumps([known, self.costs.shape]).encode("utf-8"))
        found.update(np.ascontiguousarray(self.costs, dtype="<f8").tobytes())
        return found.hexdigest()[:16]

    @cached_property
    def means(self) -> Array:
        """The true costs [n_1, ..., n_D]."""
        runs = (~np.isnan(self.costs)).sum(axis=-1)
        sums = np.nansum(self.costs.astype(float), axis=-1)
        return np.where(runs > 0, sums / np.maximum(runs, 1), np.nan)

    @cached_property
    def best(self) -> float:  # type: ignore[override]
        """The lowest true cost."""
        return float(np.nanmin(self.means))

    @cached_property
    def typical(self) -> float:  # type: ignore[override]
        """The median true cost."""
        return float(np.nanmedian(self.means))

    def index(self, params: Params) -> tuple[int, ...]:
        """Return the position of a configuration in the table."""
        return tuple(list(values).index(params[key]) for key, values in self.choices.items())

    def observe(self, params: Params, rng: np.random.Generator, used: Sequence[int]) -> Observation:
        """Return a random run, an unused one if there is one."""
        runs = self.costs[self.index(params)]
        there = np.flatnonzero(~np.isnan(runs))
        left = [run for run in there if run not in used] or list(there)
        if not left:
            return Observation(float("nan"), -1)
        run = int(left[int(rng.integers(len(left)))])
        return Observation(float(runs[run]), run)

    def truth(self, params: Params) -> float:
        """Return the mean of the runs."""
        return float(self.means[self.index(params)])

    def shown(self, params: Params) -> dict[str, float]:
        """Return the further values."""
        place = self.index(params)
        return {name: float(values[place]) for name, values in self.others.items()}
