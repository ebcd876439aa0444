"""The contract of metrics."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
import pytest

from paddle_automl.core.errors import ConfigError
from paddle_automl.tasks.base import Task
from paddle_automl.tasks.metrics.base import METRICS, BundleFacts, Metric, NetworkFacts, Predictions
from paddle_automl.tasks.metrics.grammar import NAME
from paddle_automl.tasks.metrics.spelling import metric_of, options_of, parse_metric, terms_of
from paddle_automl.testing.options import check_options
from paddle_automl.testing.tasks import example_tasks, ideal_outputs, random_outputs

NETWORK = NetworkFacts(parameters=1234, flops=56789, size_mb=0.5)
RESERVED = {"metric", "goal", "limit", "name"}
"""Keys of an objective, which are given together with a metric's options."""


class MetricContract:
    """Tests of a metric: parametrize `plugin` with its class; `options` are its required options, if any."""

    options: ClassVar[dict[str, Any]] = {}

    def needed(self, plugin: type[Metric]) -> dict[str, Any]:
        """Return the options with which a metric is tested."""
        del plugin
        return self.options

    def metric(self, plugin: type[Metric]) -> Metric:
        """Return the metric with its options."""
        return plugin(plugin.Config.model_validate({"name": plugin.name, **self.needed(plugin)}))

    def tasks(self, plugin: type[Metric]) -> Iterator[tuple[Task, np.ndarray]]:
        """Yield tasks that it can score, with codes."""
        metric, refused = self.metric(plugin), []
        scored = 0
        for task, raw in example_tasks():
            if not metric.can_score(task):
                continue
            try:
                metric.check(task)
            except ConfigError as error:
                refused.append(str(error))
                continue
            scored += 1
            yield task, task.encode(raw)
        assert scored, f"{plugin.__name__} scores none of the example tasks {refused}"

    def value(self, plugin: type[Metric], outputs: np.ndarray, codes: np.ndarray, task: Task) -> float:
        """Return its value for outputs ``[N, K]``."""
        return self.metric(plugin).value(Predictions(outputs, codes, task))

    def test_says_what_it_is(self, plugin: type[Metric]) -> None:
        """It declares its goal and when it is measured, and its name can be part of a sum."""
        assert plugin.goal in ("maximize", "minimize")
        assert plugin.when in ("epoch", "network", "bundle")
        assert NAME.fullmatch(plugin.name), "a name has letters, digits and underscores"
        assert not RESERVED & set(options_of(plugin.name))
        assert not plugin.instead or not METRICS[plugin.instead].instead, "the metric to optimize instead may be"

    def test_its_key_is_read_as_it_was_written(self, plugin: type[Metric]) -> None:
        """Keys are written to studies and logs, and read again."""
        key = parse_metric({"metric": plugin.name, **self.needed(plugin)})
        assert parse_metric(key) == key
        assert metric_of(key).config == self.metric(plugin).config
        mixed = parse_metric(f"0.5 * {key} - 2 * loss" if plugin.name != "loss" else "0.5 * loss")
        assert parse_metric(mixed) == mixed
        assert terms_of(mixed)[0] == (0.5, key)

    def test_its_value_is_a_finite_number(self, plugin: type[Metric]) -> None:
        """For random predictions, a network or a bundle, depending on `when`."""
        if plugin.when == "epoch":
            values = [
                self.value(plugin, random_outputs(task, len(codes)), codes, task)
                for task, codes in self.tasks(plugin)
            ]
        elif plugin.when == "network":
            values = [self.metric(plugin).value(NETWORK)]
        else:
            values = [self.metric(plugin).value(BundleFacts(latency_ms=lambda: 2.5))]
        assert all(type(value) is float and np.isfinite(value) for value in values)

    def test_no_network_beats_the_ideal_one(self, plugin: type[Metric]) -> None:
        """Its goal has the right direction."""
        if plugin.when != "epoch":
            return
        sign = 1 if plugin.goal == "maximize" else -1
        for task, codes in self.tasks(plugin):
            ideal = sign * self.value(plugin, ideal_outputs(task, codes), codes, task)
            others = [
                sign * self.value(plugin, random_outputs(task, len(codes), seed), codes, task) for seed in range(3)
            ]
            assert ideal >= max(others)

    def test_the_order_of_the_items_does_not_matter(self, plugin: type[Metric]) -> None:
        """And the measured arrays do not change."""
        if plugin.when != "epoch":
            return
        for task, codes in self.tasks(plugin):
            outputs = random_outputs(task, len(codes))
            kept, order = outputs.copy(), np.random.default_rng(2).permutation(len(codes))
            value = self.value(plugin, outputs, codes, task)
            assert self.value(plugin, outputs[order], codes[order], task) == pytest.approx(value, rel=1e-9)
            assert np.array_equal(outputs, kept)
            assert self.value(plugin, outputs, codes, task) == value

    def test_options_are_described(self, plugin: type[Metric]) -> None:
        """Class and options have a docstring."""
        check_options(plugin)
