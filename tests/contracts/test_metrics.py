"""What every metric must hold to; each class of the registry is tested by itself."""

import pytest

from paddle_automl.tasks.metrics.base import METRICS
from paddle_automl.testing.metrics import MetricContract

NEEDED = {
    "average_precision": {"class": "red, dotted"},
    "cost": {"matrix": {"cat": {"dog": 5, "7": 2}}},
}
"""Options without which a metric says nothing about the example tasks."""


@pytest.mark.parametrize("plugin", [METRICS[name] for name in METRICS.names()], ids=METRICS.names())
class TestMetrics(MetricContract):
    def needed(self, plugin):
        return NEEDED.get(plugin.name, {})


@pytest.mark.parametrize(
    ("plugin", "options"),
    [
        (METRICS["recall"], {"class": 'a "b"'}),
        (METRICS["precision"], {"class": "7"}),
        (METRICS["f_beta"], {"beta": 2.0, "class": "猫"}),
        (METRICS["roc_auc"], {"class": "[x]"}),
        (METRICS["top_k_accuracy"], {"k": 2}),
        (METRICS["calibration_error"], {"bins": 4}),
        (METRICS["mae"], {"column": "ink"}),
        (METRICS["cost"], {"matrix": [[float(i != j) for j in range(8)] for i in range(8)]}),
    ],
    ids=lambda value: getattr(value, "name", "options"),
)
class TestMetricsWithOptions(MetricContract):
    @pytest.fixture(autouse=True)
    def _use(self, options):
        self.given = options

    def needed(self, plugin):
        return self.given


def test_a_metric_whose_goal_points_the_wrong_way_is_caught():
    class Wrong(METRICS["accuracy"]):
        goal = "minimize"

    with pytest.raises(AssertionError):
        MetricContract().test_no_network_beats_the_ideal_one(Wrong)


def test_a_metric_that_scores_nothing_is_caught():
    class Nothing(METRICS["accuracy"]):
        tasks = frozenset({"riddles"})

    with pytest.raises(AssertionError, match="scores none of the example tasks"):
        MetricContract().test_its_value_is_a_finite_number(Nothing)
