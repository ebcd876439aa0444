"""The contract of losses."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import paddle
import pytest

from paddle_automl.tasks.base import TASKS, RawTargets, Task
from paddle_automl.testing.options import check_options
from paddle_automl.training.losses.base import Loss

FEATURES = 4
RAW = (
    RawTargets("classes", np.array([0, 1, 2, 1, 1]), ("a", "b", "c")),
    RawTargets(
        "labels", np.array([[1, 0, 0], [1, 1, 0], [0, 0, 1], [0, 0, 0], [0, 1, 1]], np.uint8), ("a", "b", "c")
    ),
    RawTargets("numbers", np.array([[0.5, 3.0], [-1.0, 2.0], [2.5, 0.0], [0.0, 1.5], [1.0, -4.0]]), ("u", "v")),
)
"""Targets of five items, of each kind."""
STEP = 1e-2
"""Width of a finite difference; float32 sums of a few terms are accurate to about 1e-6."""


class LossContract:
    """Tests of a loss: parametrize `plugin` with its class; `options` are its required options, if any.

    It is tested with each task that it trains; a loss for your own task may need `tasks` overridden.
    """

    options: ClassVar[dict[str, Any]] = {}

    def tasks(self, plugin: type[Loss]) -> list[tuple[Task, np.ndarray]]:
        """Return tasks that the loss trains, each with the codes of a few items."""
        found = []
        for name in TASKS.names():
            kind = TASKS[name]
            raw = next((raw for raw in RAW if kind.default_for == raw.kind), None)
            if raw is None:
                continue
            task = kind.fit(kind.Config(name=name), raw)
            if plugin.trains(task) or plugin.name in task.losses:
                found.append((task, task.encode(raw)))
        if not found:
            pytest.fail(f"override tasks(): {plugin.__name__} trains none of the known tasks; return some")
        return found

    def make(self, plugin: type[Loss], task: Task, weights: np.ndarray | None = None) -> Loss:
        """Return the loss for a task, by default without class weights."""
        given = None if weights is None else paddle.to_tensor(weights, dtype="float32")
        config = plugin.Config.model_validate(self.options)
        return plugin(config, task=task, feature_dim=FEATURES, class_weights=given)

    def test_gradients_are_those_of_finite_differences(self, plugin: type[Loss]) -> None:
        """For outputs and features, with class weights and without."""
        for task, codes in self.tasks(plugin):
            outputs, features = _random(len(codes), task.outputs), _random(len(codes), FEATURES)
            targets = _mixed(task.dense(codes))
            for weights in _weights(plugin, task):
                loss = self.make(plugin, task, weights)
                tensors = [paddle.to_tensor(values, stop_gradient=False) for values in (outputs, features)]
                total = loss(*tensors, paddle.to_tensor(targets)) + 0 * tensors[1].sum()
                assert total.shape == []
                total.backward()
                for place, base in enumerate((outputs, features)):
                    numeric = np.zeros_like(base)
                    for index in np.ndindex(*base.shape):
                        both = []
                        for sign in (1, -1):
                            moved = [outputs.copy(), features.copy()]
                            moved[place][index] += sign * STEP
                            both.append(value(loss, moved[0], moved[1], targets))
                        numeric[index] = (both[0] - both[1]) / (2 * STEP)
                    np.testing.assert_allclose(tensors[place].grad.numpy(), numeric, atol=2e-4)

    def test_extreme_outputs_stay_finite(self, plugin: type[Loss]) -> None:
        """Confident wrong outputs give no infinite loss or gradient."""
        for task, codes in self.tasks(plugin):
            loss, targets = self.make(plugin, task), task.dense(codes)
            outputs = paddle.to_tensor(_answer(task, targets, -1e4), stop_gradient=False)
            wrong = loss(outputs, paddle.to_tensor(_random(len(codes), FEATURES)), paddle.to_tensor(targets))
            wrong.backward()
            assert np.isfinite(float(wrong))
            assert np.isfinite(outputs.grad.numpy()).all()
            right = value(loss, _answer(task, targets, 1e4), _random(len(codes), FEATURES), targets)
            assert right < float(wrong)

    def test_right_answers_cost_less_than_wrong_ones(self, plugin: type[Loss]) -> None:
        """The better the answer, the lower the loss."""
        for task, codes in self.tasks(plugin):
            loss, targets, features = self.make(plugin, task), task.dense(codes), _random(len(codes), FEATURES)
            right, unsure, wrong = (
                value(loss, _answer(task, targets, sureness), features, targets) for sureness in (5.0, 0.0, -5.0)
            )
            assert right < unsure < wrong

    def test_class_weights_of_one_change_nothing(self, plugin: type[Loss]) -> None:
        """Weights are relative to 1."""
        if not plugin.takes_class_weights:
            pytest.skip("takes no class weights")
        for task, codes in self.tasks(plugin):
            values = (_random(len(codes), task.outputs), _random(len(codes), FEATURES), _mixed(task.dense(codes)))
            weighted = value(self.make(plugin, task, np.ones(task.outputs)), *values)
            assert weighted == pytest.approx(value(self.make(plugin, task), *values), rel=1e-5)

    def test_a_heavier_class_costs_more(self, plugin: type[Loss]) -> None:
        """A weight applies to the class or label with its index."""
        if not plugin.takes_class_weights:
            pytest.skip("takes no class weights")
        for task, codes in self.tasks(plugin):
            targets = task.dense(codes)
            outputs = _answer(task, targets, 5.0)
            outputs[:, -1] = -5.0
            heavy = np.ones(task.outputs)
            heavy[-1] = 10.0
            features = _random(len(codes), FEATURES)
            weighted = value(self.make(plugin, task, heavy), outputs, features, targets)
            assert weighted > value(self.make(plugin, task), outputs, features, targets)

    def test_a_batch_of_weight_zero_teaches_nothing(self, plugin: type[Loss]) -> None:
        """A class may have weight 0, and with small batches some have no item of another class."""
        if not plugin.takes_class_weights:
            pytest.skip("takes no class weights")
        for task, codes in self.tasks(plugin):
            targets = np.zeros_like(task.dense(codes))
            targets[:, 0] = 1
            weights = np.ones(task.outputs)
            weights[0] = 0
            loss, given = self.make(plugin, task, weights), (_random(*targets.shape), _random(len(codes), FEATURES))
            outputs, features = (paddle.to_tensor(values, stop_gradient=False) for values in given)
            found = loss(outputs, features, paddle.to_tensor(targets))
            found.backward()
            assert np.isfinite(float(found))
            # Of several labels the weight concerns those that apply; the others are learned from any item.
            single = task.final.activation == "softmax"
            np.testing.assert_array_equal(outputs.grad.numpy() if single else outputs.grad.numpy()[:, 0], 0)
            if single and features.grad is not None:
                np.testing.assert_array_equal(features.grad.numpy(), 0)

    def test_options_are_described(self, plugin: type[Loss]) -> None:
        """Class and options have a docstring."""
        check_options(plugin)


def value(loss: Loss, outputs: Any, features: Any, targets: Any) -> float:
    """Return the loss of raw outputs [N, K], features [N, F] and targets [N, K]."""
    tensors = (paddle.to_tensor(np.asarray(item, "float32")) for item in (outputs, features, targets))
    return float(loss(*tensors))


def _random(*shape: int) -> np.ndarray:
    return np.random.default_rng(7).normal(size=shape).astype("float32")


def _mixed(targets: np.ndarray) -> np.ndarray:
    """Return targets mixed as by mixup."""
    return np.asarray(0.7 * targets + 0.3 * np.roll(targets, 1, axis=0), dtype=np.float32)


def _answer(task: Task, targets: np.ndarray, sureness: float) -> np.ndarray:
    """Return raw outputs for right answers with this confidence; negative: wrong answers."""
    if task.final.activation == "softmax":
        return (sureness * targets).astype("float32")
    if task.final.activation == "sigmoid":
        return (sureness * (2 * targets - 1)).astype("float32")
    # Numbers: the true value, or a value that is off by the missing confidence.
    return (targets + max(5.0 - sureness, 0.0)).astype("float32")


def _weights(plugin: type[Loss], task: Task) -> list[np.ndarray | None]:
    given = np.linspace(0.5, 2.0, task.outputs)
    return [None, given] if plugin.takes_class_weights else [None]
