"""The contract of tasks, and targets, tasks and outputs for tests."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
import pytest

from paddle_automl.core.errors import AutoMLError, ConfigError
from paddle_automl.tasks.base import TASKS, RawTargets, Table, Task
from paddle_automl.tasks.metrics.base import METRICS, Predictions
from paddle_automl.tasks.metrics.spelling import epoch_metrics, measure
from paddle_automl.testing.options import check_options

ITEMS = 48
NAMES = ("cat", "dog", "red, dotted", "7", "[x]", 'a "b"', "猫", "-")
VARIANTS: dict[str, tuple[dict[str, Any], ...]] = {"regression": ({"interval": 0.9},)}
"""Options of built-in tasks that change the form of their answers."""


def example_targets() -> tuple[RawTargets, ...]:
    """Return targets of each built-in kind, for `ITEMS` items: classes, labels, numbers."""
    rng = np.random.default_rng(0)
    classes = rng.permutation(np.arange(ITEMS) % len(NAMES)).astype(np.int64)
    labels = (rng.random((ITEMS, len(NAMES))) < 0.4).astype(np.uint8)
    labels[0], labels[1] = 0, 1
    numbers = np.stack([np.arange(ITEMS) / 4, rng.permutation(ITEMS) * 20.0 - 1000], axis=1)
    return (
        RawTargets("classes", classes, NAMES),
        RawTargets("labels", labels, NAMES),
        RawTargets("numbers", numbers, ("value", "ink")),
    )


def fitted_task(cls: type[Task], raw: RawTargets, **options: Any) -> Task:
    """Return a task fitted to all of `raw`, as in a training."""
    task = cls.fit(cls.Config.model_validate({"name": cls.name, **options}), raw)
    return task.with_training(task.encode(raw))


def example_tasks() -> Iterator[tuple[Task, RawTargets]]:
    """Yield each registered task that can read the example targets, in each form, with its targets."""
    for name in TASKS.names():
        cls = TASKS[name]
        for raw in example_targets():
            if cls.can_read(raw):
                for options in ({}, *VARIANTS.get(name, ())):
                    yield fitted_task(cls, raw, **options), raw


def ideal_outputs(task: Task, codes: np.ndarray) -> np.ndarray:
    """Return the outputs ``[N, K]`` of a perfect network."""
    dense = task.dense(codes)
    return task.final(dense if task.final.activation == "identity" else 40 * dense - 20)


def random_outputs(task: Task, count: int, seed: int = 0) -> np.ndarray:
    """Return the outputs ``[N, K]`` of an untrained network."""
    return task.final(np.random.default_rng(seed).normal(size=(count, task.outputs)))


class TaskContract:
    """Tests of a task: parametrize `plugin` with its class.

    `options` are its required options, if any; `raw` are targets of about 50 items, if it reads none of
    `example_targets`.
    """

    options: ClassVar[dict[str, Any]] = {}
    raw: ClassVar[RawTargets | None] = None

    def targets(self, plugin: type[Task]) -> list[RawTargets]:
        """Return the targets for the tests."""
        if self.raw is not None:
            return [self.raw]
        found = [raw for raw in example_targets() if plugin.can_read(raw)]
        assert found, f"{plugin.__name__} reads none of the examples; set `raw`"
        return found

    def cases(self, plugin: type[Task]) -> Iterator[tuple[Task, RawTargets, np.ndarray]]:
        """Yield fitted tasks with their targets and codes, in each form."""
        for raw in self.targets(plugin):
            for options in ({}, *VARIANTS.get(plugin.name, ())):
                task = fitted_task(plugin, raw, **{**self.options, **options})
                yield task, raw, task.encode(raw)

    def test_codes_and_dense_targets_have_a_row_per_item(self, plugin: type[Task]) -> None:
        """Batches are slices of the codes."""
        for task, raw, codes in self.cases(plugin):
            assert len(codes) == len(raw)
            dense = task.dense(codes)
            assert dense.shape == (len(raw), task.outputs)
            assert dense.dtype == np.float32
            assert np.isfinite(dense).all()
            rows = np.array([5, 0, 5])
            assert np.array_equal(task.encode(raw.take(rows)), codes[rows])
            assert np.array_equal(task.dense(codes[rows]), dense[rows])

    def test_names_are_matched_whatever_their_order(self, plugin: type[Task]) -> None:
        """A network may be evaluated on data that list the same names in another order."""
        for task, raw, codes in self.cases(plugin):
            order = np.arange(len(raw.names))[::-1]
            names = tuple(raw.names[i] for i in order)
            if raw.kind == "classes":
                other = RawTargets(raw.kind, order[raw.values], names)
            elif raw.kind in ("labels", "numbers"):
                other = RawTargets(raw.kind, raw.values[:, order], names)
            else:
                continue
            assert np.array_equal(task.encode(other), codes)

    def test_what_is_fitted_survives_json(self, plugin: type[Task]) -> None:
        """A bundle contains the fitted task."""
        for task, _, codes in self.cases(plugin):
            outputs = random_outputs(task, len(codes))
            for made in (task, task.tuned(outputs, codes), task.calibrated(outputs, codes)):
                text = json.dumps(made.fitted.model_dump(mode="json"), allow_nan=False)
                again = plugin(plugin.Fitted.model_validate(json.loads(text)))
                assert again.fitted == made.fitted
                assert made.fitted.name == plugin.name
                assert (again.names, again.outputs, again.final) == (made.names, made.outputs, made.final)
                assert [again.answer(row) for row in outputs] == [made.answer(row) for row in outputs]

    def test_training_and_tuning_keep_names_and_outputs(self, plugin: type[Task]) -> None:
        """The network was built for them."""
        for task, _, codes in self.cases(plugin):
            fitted = task.fitted
            for made in (task.with_training(codes[:20]), task.tuned(random_outputs(task, len(codes)), codes)):
                assert (made.names, made.outputs) == (task.names, task.outputs)
            assert task.levels is None or len(task.levels) == task.outputs
            assert task.fitted == fitted

    def test_a_calibration_keeps_the_answers(self, plugin: type[Task]) -> None:
        """It only changes how sure they are."""
        for task, _, codes in self.cases(plugin):
            raw = np.random.default_rng(0).normal(0, 2, (len(codes), task.outputs))
            made = task.calibrated(task.final(raw), codes)
            assert (made.names, made.outputs) == (task.names, task.outputs)
            before, after = task.final(raw), made.final(raw)
            if not task.answer(before[0]).interval:
                assert task.agree(before, after).all()
            assert [task.answer(row).text for row in before] == [made.answer(row).text for row in after]

    def test_outputs_stay_finite(self, plugin: type[Task]) -> None:
        """For any confidence of the network."""
        for task, _, codes in self.cases(plugin):
            raw = np.full((2, task.outputs), -1e4)
            raw[0, 0] = raw[1, -1] = 1e4
            outputs = task.final(raw)
            assert outputs.dtype == np.float32
            assert np.isfinite(outputs).all()
            assert np.isfinite(task.loss(outputs, codes[:2]))

    def test_better_outputs_have_a_lower_loss(self, plugin: type[Task]) -> None:
        """The loss metric separates the perfect network from an untrained one."""
        for task, _, codes in self.cases(plugin):
            assert task.loss(ideal_outputs(task, codes), codes) < task.loss(random_outputs(task, len(codes)), codes)

    def test_agreement(self, plugin: type[Task]) -> None:
        """Rounding does not change answers, another network does."""
        for task, _, codes in self.cases(plugin):
            ideal, other = ideal_outputs(task, codes), random_outputs(task, len(codes))
            assert task.scale > 0
            assert task.scales.shape == (task.outputs,)
            assert (task.scales > 0).all()
            noise = np.random.default_rng(1).uniform(-1e-6, 1e-6, ideal.shape) * task.scales
            for outputs in (ideal, other):
                agreed = task.agree(outputs, (outputs + noise).astype(np.float32))
                assert agreed.shape == (len(codes),)
                assert agreed.dtype == bool
                assert agreed.all()
            assert not task.agree(ideal, other).all()

    def test_the_ideal_network_answers_with_the_truth(self, plugin: type[Task]) -> None:
        """Predicted and true answers are described with the same words."""
        for task, _, codes in self.cases(plugin):
            for row, code in zip(ideal_outputs(task, codes), codes, strict=True):
                answer = task.answer(row)
                assert answer.text == task.truth(code)
                assert answer.text
                assert tuple(answer.values) == task.names
                assert all(type(value) is float for value in answer.values.values())
                assert {name for name, _ in answer.ranked} <= set(task.names)
                assert set(answer.labels) <= set(task.names)
                assert all(low <= high for low, high in answer.interval.values())

    def test_evaluations_are_whole_tables_and_json(self, plugin: type[Task]) -> None:
        """Commands print the tables, programs read the data."""
        for task, _, codes in self.cases(plugin):
            found = task.evaluation(random_outputs(task, len(codes)), codes)
            assert found.tables
            for table in found.tables:
                check_table(table)
            json.dumps(dict(found.data), allow_nan=False)
            assert all(len(points) == len(codes) for points in found.points.values())

    def test_the_worst_mistakes_come_first(self, plugin: type[Task]) -> None:
        """They are sorted by their error."""
        for task, _, codes in self.cases(plugin):
            outputs = random_outputs(task, len(codes))
            worst = task.worst(outputs, codes, 5)
            assert 0 < len(worst) <= 5
            badness = [item.badness for item in worst]
            assert badness == sorted(badness, reverse=True)
            for item in worst:
                assert item.truth == task.truth(codes[item.index])
                assert item.answer == task.answer(outputs[item.index]).text
                json.dumps(item.as_dict(None), allow_nan=False)
            check_table(task.mistakes(worst, [str(item.index) for item in worst], "text"))
            assert task.worst(outputs, codes, 0) == []

    def test_its_metrics_can_be_measured(self, plugin: type[Task]) -> None:
        """Every training measures them."""
        assert "loss" in plugin.metrics
        assert plugin.losses, "needs a loss that can train it"
        for task, _, codes in self.cases(plugin):
            assert set(task.losses) <= set(plugin.losses)
            assert all(METRICS[name].can_score(task) for name in task.metrics)
            found = measure(epoch_metrics(task), Predictions(random_outputs(task, len(codes)), codes, task))
            assert next(iter(found)) == "loss"
            assert all(type(value) is float and np.isfinite(value) for value in found.values())

    def test_splits_keep_strata_of_every_item(self, plugin: type[Task]) -> None:
        """Or the task needs no stratified splits."""
        for task, _, codes in self.cases(plugin):
            strata = task.strata(codes)
            if strata is not None:
                assert len(strata.values) == len(codes)
                assert strata.names == task.names

    def test_outputs_are_compared_by_name(self, plugin: type[Task]) -> None:
        """A task shares all columns with itself."""
        for task, _, _ in self.cases(plugin):
            assert task.columns(task) == list(range(task.outputs))

    def test_other_targets_are_refused(self, plugin: type[Task]) -> None:
        """The message says what the data have, and what the task needs."""
        raw = RawTargets("riddles", np.zeros(3), ("x", "y"))
        if plugin.can_read(raw):
            return
        with pytest.raises(ConfigError, match=rf"task: {plugin.name} needs .* the data have riddles \(x, y\)"):
            plugin.fit(plugin.Config.model_validate({"name": plugin.name, **self.options}), raw)

    def test_unknown_names_are_refused(self, plugin: type[Task]) -> None:
        """Data of another kind cannot be evaluated."""
        for task, raw, _ in self.cases(plugin):
            if raw.kind in ("classes", "labels", "numbers") and len(raw.names) == len(task.names):
                other = RawTargets(raw.kind, raw.values, ("never seen", *raw.names[1:]))
                with pytest.raises(AutoMLError, match=f"never seen|{raw.names[0]}"):
                    task.encode(other)

    def test_options_are_described(self, plugin: type[Task]) -> None:
        """Class and options have a docstring."""
        check_options(plugin)


def check_table(table: Table) -> None:
    """Assert that a table has a title and as many cells in each row as columns."""
    assert table.title
    assert all(len(row) == len(table.columns) for row in table.rows)
    assert all(cell is None or isinstance(cell, str | int | float) for row in table.rows for cell in row)
