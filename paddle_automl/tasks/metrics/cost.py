"""Costs of mistakes, for tasks in which some mistakes are worse than others."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from pydantic import BeforeValidator, model_validator

from paddle_automl.core.errors import ConfigError
from paddle_automl.core.schema import PluginConfig, Sequence
from paddle_automl.tasks.base import Task
from paddle_automl.tasks.metrics._named import Name, check_name, named
from paddle_automl.tasks.metrics.base import METRICS, Metric, Predictions


def _name_keys(value: Any) -> Any:
    # YAML reads names such as 3 as numbers.
    if not isinstance(value, dict):
        return value
    keys = [str(key) if isinstance(key, int | float) and not isinstance(key, bool) else key for key in value]
    return dict(zip(keys, value.values(), strict=True))


Row = Annotated[dict[Name, float], BeforeValidator(_name_keys)]
ByName = Annotated[dict[Name, Row], BeforeValidator(_name_keys)]


@METRICS.register("cost")
class Cost(Metric):
    """Mean cost of the answers, by a matrix that states what it costs to take one class for another.

    `matrix: {cat: {dog: 5}}`: a cat that is taken for a dog costs 5; a list of lists has a row per true class and
    a column per answer, in the order of the classes (Elkan 2001).
    """

    goal = "minimize"
    tasks = frozenset({"single_label"})
    also = ("cost_matrix", "mean_cost")

    class Config(PluginConfig):
        """Options of the cost."""

        matrix: ByName | Sequence[Sequence[float]]
        """Cost by true class and answer; right answers cost 0 unless a mapping states another cost."""
        default: float = 1.0
        """Cost of mistakes that a mapping does not list."""

        @model_validator(mode="after")
        def _square(self) -> Cost.Config:
            if not self.matrix:
                raise ValueError("matrix: is empty; give costs such as {cat: {dog: 5}}")
            if not isinstance(self.matrix, dict) and any(len(row) != len(self.matrix) for row in self.matrix):
                sizes = ", ".join(str(len(row)) for row in self.matrix)
                raise ValueError(f"matrix: must have as many columns as rows, got rows of {sizes}")
            return self

    def check(self, task: Task) -> None:
        """Refuse a matrix of the wrong size, and classes that the data do not have."""
        matrix = self.config.matrix
        if not isinstance(matrix, dict):
            if len(matrix) != task.outputs:
                raise ConfigError(f"matrix: has {len(matrix)} rows, the data have {task.outputs} classes")
            return
        for true, row in matrix.items():
            for name in (true, *row):
                check_name(task, name, "matrix")

    def value(self, facts: Predictions) -> float:
        """Return the mean cost of an item; 0 without items."""
        task = named(facts.task)
        costs = self.table(task)
        if not len(facts.codes):
            return 0.0
        return float(costs[facts.codes, facts.outputs.argmax(axis=1)].mean())

    def table(self, task: Task) -> np.ndarray:
        """Return the costs as an array, float64 ``[K, K]``: row = true class, column = answer."""
        matrix = self.config.matrix
        if not isinstance(matrix, dict):
            return np.array(matrix)
        costs = np.full((task.outputs, task.outputs), float(self.config.default))
        np.fill_diagonal(costs, 0.0)
        for true, row in matrix.items():
            for answer, cost in row.items():
                costs[task.names.index(true), task.names.index(answer)] = cost
        return costs
