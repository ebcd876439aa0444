"""Constraints on what a network costs, which are checked before it is trained."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import model_validator
from pydantic_core import PydanticCustomError

from paddle_automl.core.errors import ConfigError, InfeasibleError
from paddle_automl.core.schema import Section
from paddle_automl.tasks.metrics.base import METRICS
from paddle_automl.tasks.metrics.spelling import MetricKey, parse_metric, value_in, when_of

_TEXT = re.compile(r"(?P<metric>.*?)\s*(?P<sign><=|>=|=<|=>|<|>|==|=)\s*(?P<limit>\S*)\s*")
_EXAMPLE = "such as latency_ms <= 5"


class Constraint(Section):
    """A bound on a metric of the network itself, written as ``latency_ms <= 5``.

    Only metrics that are known before training can be bounded: size_mb, parameters, flops, latency_ms, plugins of
    that kind, and sums of them.
    """

    metric: Annotated[str, MetricKey()]
    """Metric of the network or of its export."""
    sign: Literal["<=", ">="]
    """Whether the metric may be at most or at least the limit."""
    limit: float
    """The bound, in the metric's unit."""

    @model_validator(mode="before")
    @classmethod
    def _spelled(cls, data: Any) -> Any:
        if not isinstance(data, str):
            return data
        found = _TEXT.fullmatch(data.strip())
        if found is None or not found["metric"] or found["sign"] not in ("<=", ">="):
            raise PydanticCustomError(
                "stated", f"must be a metric, <= or >=, and a number, {_EXAMPLE}; got {data!r}"
            )
        try:
            limit = float(found["limit"])
        except ValueError:
            raise PydanticCustomError(
                "stated", f"needs a number after {found['sign']}, {_EXAMPLE}; got {data!r}"
            ) from None
        return {"metric": found["metric"], "sign": found["sign"], "limit": limit}

    @model_validator(mode="after")
    def _known_before_training(self) -> Constraint:
        try:
            when = when_of(parse_metric(self.metric))
        except ConfigError as error:
            raise PydanticCustomError("stated", str(error)) from None
        if when == "epoch":
            able = ", ".join(name for name in METRICS.names() if METRICS[name].when != "epoch")
            raise PydanticCustomError(
                "stated",
                f"'{self.metric}' is known only after training; constraints are checked before it: use {able}, or "
                f"give an objective a limit: search.objectives: [{{metric: {self.metric}, limit: ...}}]",
            )
        return self

    def holds(self, value: float) -> bool:
        """Return whether a value is within the bound."""
        return value <= self.limit if self.sign == "<=" else value >= self.limit

    def __str__(self) -> str:
        return f"{self.metric} {self.sign} {self.limit:g}"


def check_constraints(constraints: Sequence[Constraint], costs: Mapping[str, float]) -> None:
    """Raise InfeasibleError that names every constraint that the costs of a network break."""
    broken = []
    for constraint in constraints:
        value = value_in(costs, constraint.metric)
        if value is None or not constraint.holds(value):
            got = "not measured" if value is None else f"{value:.4g}"
            broken.append(f"{constraint.metric} is {got}, required {constraint.sign} {constraint.limit:g}")
    if broken:
        raise InfeasibleError(f"not trained, beyond search.constraints: {'; '.join(broken)}")
