"""Synthetic tasks over mixed and conditional spaces, without any download."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from paddle_automl.benchmarks.search.task import Observation, Task
from paddle_automl.core.seeds import generator
from paddle_automl.search.learning.columns import Array
from paddle_automl.search.learning.encoding import Encoding
from paddle_automl.search.learning.moves import mutate
from paddle_automl.space import Params, SearchSpace

NOISE = 0.02
SAMPLED, CLIMBED, ROUNDS = 20_000, 200, 60


class Synthetic(Task):
    """A random function of a fixed space, with Gaussian noise of standard deviation 0.02.

    Its optimum is found once, by random sampling and mutation of the best.
    """

    spec: Mapping[str, Any]

    def __init__(self, name: str, number: int) -> None:
        self.name = name
        self.space = SearchSpace.parse(self.spec)
        self._encoding = Encoding(self.space)
        self._prepare(np.random.default_rng(1000 + number))

    @abstractmethod
    def _prepare(self, rng: np.random.Generator) -> None:
        """Draw the function."""

    @abstractmethod
    def costs(self, rows: Array) -> Array:
        """Return the true costs [N] of encoded configurations [N, D]."""

    def observe(self, params: Params, rng: np.random.Generator, used: Sequence[int]) -> Observation:
        """Return the true cost and noise."""
        return Observation(self.truth(params) + NOISE * float(rng.normal()), len(used))

    def truth(self, params: Params) -> float:
        """Return the true cost."""
        return float(self.costs(self._encoding.encode(params)[None])[0])

    @cached_property
    def _landscape(self) -> tuple[float, float]:
        rng = generator(0, "benchmark", self.name)
        rows = self._encoding.sample(SAMPLED, rng)
        costs = self.costs(rows)
        typical = float(np.median(costs))
        for scale in np.geomspace(0.3, 0.003, ROUNDS):
            best = rows[np.argsort(costs, kind="stable")[:CLIMBED]]
            parents = np.repeat(best, 10, axis=0)
            children = mutate(
                self._encoding, parents, rng.integers(1, 4, len(parents)), np.full(len(parents), scale), rng
            )
            rows = np.vstack([best, children])
            costs = self.costs(rows)
        return float(costs.min()), typical

    @property
    def best(self) -> float:  # type: ignore[override]
        """The lowest true cost found."""
        return self._landscape[0]

    @property
    def typical(self) -> float:  # type: ignore[override]
        """The median true cost of random configurations."""
        return self._landscape[1]


class Mixed(Synthetic):
    """Six choices, three whole and three real numbers: main effects, pairs, curved numbers, divergence.

    The best learning rate depends on the first choice, and above an edge that depends on it training diverges.
    """

    sizes = (4, 5, 3, 3, 4, 6)
    pairs = ((0, 2), (1, 2), (3, 5), (1, 5), (0, 4), (4, 5))
    spec = {  # noqa: RUF012
        **{f"model.c{i}": {"choice": [f"o{k}" for k in range(size)]} for i, size in enumerate(sizes)},
        "model.layers": {"int": [1, 10]},
        "model.units": {"int": [16, 512], "log": True},
        "model.kernel": {"int": [1, 7]},
        "training.learning_rate": {"log": [1e-5, 1.0]},
        "training.weight_decay": {"log": [1e-7, 1e-1]},
        "training.smoothing": {"log": [1e-4, 1.0]},
    }

    def _prepare(self, rng: np.random.Generator) -> None:
        k = self.sizes
        self._main = [rng.normal(0, 0.35, size) for size in k]
        self._pairs = [(i, j, rng.normal(0, 0.35, (k[i], k[j]))) for i, j in self.pairs]
        self._centre = rng.uniform(0.25, 0.75, 6)
        self._weight = np.array([1.0, 0.8, 0.6, 4.0, 0.8, 0.5]) * rng.uniform(0.7, 1.3, 6)
        self._shift = [(3, 0, rng.normal(0, 0.12, k[0])), (4, 2, rng.normal(0, 0.15, k[2]))]
        self._shift.append((0, 5, rng.normal(0, 0.2, k[5])))
        self._cross = [(3, 1, rng.normal(0, 1.0)), (3, 4, rng.normal(0, 1.0))]
        self._cross += [(0, 2, rng.normal(0, 0.7)), (0, 5, rng.normal(0, 0.5))]
        self._edge = 0.82 - 0.12 * rng.random(k[0])
        self._phase = rng.uniform(0, 6.28, 6)

    def costs(self, rows: Array) -> Array:
        """Return the true costs [N]."""
        chosen, unit = rows[:, :6].astype(int), rows[:, 6:]
        cost = np.zeros(len(rows))
        for i, effect in enumerate(self._main):
            cost += effect[chosen[:, i]]
        for i, j, table in self._pairs:
            cost += table[chosen[:, i], chosen[:, j]]
        centre = np.tile(self._centre, (len(rows), 1))
        for number, choice, shift in self._shift:
            centre[:, number] += shift[chosen[:, choice]]
        away = unit - centre
        cost += (self._weight * away**2 * 4).sum(axis=1)
        for i, j, factor in self._cross:
            cost += factor * away[:, i] * away[:, j] * 2
        cost += 0.04 * np.sin(9 * unit + self._phase).sum(axis=1)
        edge = self._edge[chosen[:, 0]] - 0.1 * (chosen[:, 2] == 0)
        return np.where(unit[:, 3] > edge, np.maximum(cost, 0) + 2.5, cost)


class Conditional(Synthetic):
    """Two networks with their own options, a list of blocks, and a shared recipe."""

    spec = {  # noqa: RUF012
        "model.backbone": {
            "residual": {
                "width": {"int": [8, 128], "log": True},
                "blocks": {"repeat": {"int": [1, 4]}, "times": {"int": [1, 4]}},
                "order": {"choice": ["pre", "post"]},
            },
            "branches": {
                "width": {"int": [8, 128], "log": True},
                "pool": {"choice": ["max", "average", "none"]},
                "modules": {"int": [1, 6]},
            },
            "plain": {"depth": {"int": [2, 12]}, "dropout": {"float": [0.0, 0.6]}},
        },
        "training.optimizer": {
            "momentum": {"learning_rate": {"log": [1e-3, 1.0]}, "nesterov": {"choice": [True, False]}},
            "adam": {"learning_rate": {"log": [1e-5, 1e-1]}, "beta": {"float": [0.5, 0.99]}},
        },
        "training.smoothing": {"float": [0.0, 0.3]},
        "training.batch": {"choice": [16, 32, 64, 128]},
    }

    def _prepare(self, rng: np.random.Generator) -> None:
        columns = self._encoding.columns
        self._tables = [rng.normal(0, 0.3, column.size or 1) if column.category else None for column in columns]
        self._centre = rng.uniform(0.2, 0.8, len(columns))
        self._weight = rng.uniform(0.3, 2.5, len(columns))
        # Numbers interact only if both are active.
        self._cross = np.triu(rng.normal(0, 0.6, (len(columns), len(columns))), 1)
        self._phase = rng.uniform(0, 6.28, len(columns))

    def costs(self, rows: Array) -> Array:
        """Return the true costs [N]."""
        active = self._encoding.active(rows)
        cost = np.zeros(len(rows))
        away = np.zeros(rows.shape)
        for j, table in enumerate(self._tables):
            if table is not None:
                cost += np.where(active[:, j], table[rows[:, j].astype(int)], 0.0)
            else:
                away[:, j] = np.where(active[:, j], rows[:, j] - self._centre[j], 0.0)
        cost += (self._weight * away**2 * 2).sum(axis=1)
        cost += np.einsum("ni,ij,nj->n", away, self._cross, away)
        return cost + (0.03 * np.sin(9 * away + self._phase) * (away != 0)).sum(axis=1)
