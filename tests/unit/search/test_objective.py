"""Objectives: goals, limits, dominance."""

import pytest

from paddle_automl.core.errors import TrialError
from paddle_automl.search.objective import (
    Objective,
    costs_of,
    dominates,
    excess_of,
    pareto_front,
    scalarize,
    values_of,
)

ACCURACY = Objective(metric="accuracy", limit=0.9)
LATENCY = Objective(metric="latency_ms", limit=2.0)


def test_goal_follows_from_the_metric():
    assert ACCURACY.goal == "maximize"
    assert LATENCY.goal == "minimize"
    assert ACCURACY.cost(0.8) == -0.8
    assert ACCURACY.value(-0.8) == 0.8
    assert costs_of((0.8, 3.0), (ACCURACY, LATENCY)) == (-0.8, 3.0)


def test_limits_bound_the_worse_side():
    assert excess_of((0.95, 1.0), (ACCURACY, LATENCY)) == 0
    assert excess_of((0.81, 1.0), (ACCURACY, LATENCY)) == pytest.approx(0.1)
    assert excess_of((0.95, 3.0), (ACCURACY, LATENCY)) == pytest.approx(0.5)


def test_missing_and_non_finite_metrics_are_named():
    with pytest.raises(TrialError, match="no metric 'latency_ms'; it gave accuracy"):
        values_of({"accuracy": 0.5}, (ACCURACY, LATENCY))
    with pytest.raises(TrialError, match="the metric 'accuracy' is nan"):
        values_of({"accuracy": float("nan")}, (ACCURACY,))


def test_pareto_front():
    assert dominates((1.0, 2.0), (1.0, 3.0))
    assert not dominates((1.0, 2.0), (1.0, 2.0))
    items = [("a", (1.0, 3.0)), ("b", (2.0, 2.0)), ("c", (3.0, 3.0)), ("d", (3.0, 1.0))]
    assert pareto_front(items) == ["a", "b", "d"]


def test_scalarize_is_the_augmented_chebyshev_norm():
    # Scaled costs (0, 1), (1, 0), (0.5, 0.5); weights 0.5: max part + 0.05 * sum of parts.
    costs = [(0.0, 30.0), (2.0, 10.0), (1.0, 20.0)]
    assert scalarize(costs, (0.5, 0.5)) == pytest.approx([0.525, 0.525, 0.275])
    assert scalarize([(3.0,), (1.0,)], (1.0,)) == [3.0, 1.0]
