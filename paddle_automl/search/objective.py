"""Objectives: the metrics that a search optimizes, their directions and limits.

Inside the search everything is a *cost*: the metric itself if it is minimized, its negative if it is maximized.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, TypeVar

from pydantic import model_validator
from pydantic_core import PydanticCustomError

from paddle_automl.core.errors import ConfigError, TrialError, did_you_mean
from paddle_automl.core.schema import Section
from paddle_automl.tasks.metrics.base import Goal
from paddle_automl.tasks.metrics.spelling import (
    MetricKey,
    goal_of,
    options_of,
    parse_metric,
    value_in,
    when_of,
)

Costs = tuple[float, ...]

T = TypeVar("T")


class Objective(Section):
    """One metric to optimize; options of the metric are given with its name, as in {metric: recall, class: cat}.

    A bare text is the metric of an objective without limit.
    """

    metric: Annotated[str, MetricKey()]
    """Metric on the validation split or of the network, or a weighted sum such as 0.7 * macro_f1 - 0.3 * loss. It
    is shown by its key, such as recall[class=cat]."""
    goal: Goal
    """Direction; default: that of the metric."""
    limit: float | None = None
    """Worst allowed value: the lowest of a maximized metric, the highest of a minimized one."""

    @model_validator(mode="before")
    @classmethod
    def _spelled(cls, data: Any) -> Any:
        if isinstance(data, str):
            data = {"metric": data}
        if not isinstance(data, dict):
            return data
        own = {key: value for key, value in data.items() if key in cls.model_fields}
        options = {key: value for key, value in data.items() if key not in cls.model_fields}
        if options:
            _check_options(own.get("metric"), options, list(cls.model_fields))
            own["metric"] = {"metric": own.get("metric"), **options}
        if own.get("goal") is not None:
            return own
        try:
            key = parse_metric(own.get("metric"))
        except ConfigError:
            # The field's own validation reports what is wrong.
            return {**own, "goal": "maximize"}
        try:
            return {**own, "metric": key, "goal": goal_of(key)}
        except ConfigError as error:
            raise PydanticCustomError("stated", str(error)) from None

    def measured(self, metrics: Mapping[str, float]) -> float | None:
        """Return its value from measured values, a sum from its terms if necessary; None if it is missing."""
        return value_in(metrics, self.metric)

    def cost(self, value: float) -> float:
        """Return the value as a cost, which is always minimized."""
        return -value if self.goal == "maximize" else value

    def value(self, cost: float) -> float:
        """Return the metric's value for a cost."""
        return -cost if self.goal == "maximize" else cost

    def excess(self, value: float) -> float:
        """Return by how much `value` exceeds the limit; 0 if it is within the limit or there is none."""
        if self.limit is None:
            return 0.0
        return max(0.0, self.cost(value) - self.cost(self.limit))


def curve_objective(objectives: Sequence[Objective]) -> Objective:
    """Return the objective whose values make a trial's learning curve: the first one with a value per epoch."""
    return next((objective for objective in objectives if when_of(objective.metric) == "epoch"), objectives[0])


def values_of(metrics: Mapping[str, float], objectives: Sequence[Objective]) -> tuple[float, ...]:
    """Return the objectives' values; raises TrialError for a missing or non-finite one."""
    values = []
    for objective in objectives:
        value = objective.measured(metrics)
        if value is None:
            got = ", ".join(sorted(metrics)) or "none"
            raise TrialError(f"the trial has no metric '{objective.metric}'; it has {got}")
        if not math.isfinite(value):
            raise TrialError(f"the metric '{objective.metric}' is {value}")
        values.append(float(value))
    return tuple(values)


def costs_of(values: Sequence[float], objectives: Sequence[Objective]) -> Costs:
    """Return the objectives' values as costs."""
    return tuple(objective.cost(value) for objective, value in zip(objectives, values, strict=True))


def excess_of(values: Sequence[float], objectives: Sequence[Objective]) -> float:
    """Return the largest excess over a limit, relative to that limit; 0 within all limits."""
    return max(
        objective.excess(value) / (abs(objective.limit or 0.0) or 1.0)
        for objective, value in zip(objectives, values, strict=True)
    )


def excess_of_costs(costs: Sequence[float], objectives: Sequence[Objective]) -> float:
    """Return the largest relative excess over a limit (`excess_of`) of values that are given as costs."""
    return excess_of([o.value(cost) for o, cost in zip(objectives, costs, strict=True)], objectives)


def dominates(one: Costs, other: Costs) -> bool:
    """Return whether `one` has no higher cost than `other` and at least one lower cost (Pareto dominance)."""
    return all(a <= b for a, b in zip(one, other, strict=True)) and one != other


def pareto_front(items: Sequence[tuple[T, Costs]]) -> list[T]:
    """Return the items that no other item dominates, in the given order."""
    return [item for item, costs in items if not any(dominates(other, costs) for _, other in items)]


def scalarize(costs: Sequence[Costs], weights: Sequence[float]) -> list[float]:
    """Return one cost per item: the augmented Chebyshev norm of ParEGO.

    Knowles 2006, "ParEGO", IEEE TEC 10(1), eq. (2): max_j(w_j c_j) + 0.05 sum_j(w_j c_j), the costs of each
    objective scaled to 0..1 over the items. With a single objective the cost itself is returned.
    """
    if not costs or len(costs[0]) == 1:
        return [cost[0] for cost in costs]
    lows = [min(column) for column in zip(*costs, strict=True)]
    spans = [max(column) - low or 1.0 for column, low in zip(zip(*costs, strict=True), lows, strict=True)]
    result = []
    for cost in costs:
        parts = [w * (c - low) / span for w, c, low, span in zip(weights, cost, lows, spans, strict=True)]
        result.append(max(parts) + 0.05 * sum(parts))
    return result


def _check_options(metric: Any, options: Mapping[str, Any], keys: Sequence[str]) -> None:
    """Raise if a key of an objective is neither its own nor an option of its metric."""
    try:
        valid = [*keys, *options_of(metric)] if isinstance(metric, str) else list(keys)
    except ConfigError:
        return
    for key in options:
        if key not in valid:
            hint = did_you_mean(key, valid) or ";"
            text = f"unknown key '{key}'{hint} valid: {', '.join(valid)}"
            raise PydanticCustomError("stated", text)
