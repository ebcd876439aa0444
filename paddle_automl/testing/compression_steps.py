"""The contract of compression steps."""

from __future__ import annotations

import copy
import functools
import json
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import paddle
import pytest
from paddle import Tensor, nn

from paddle_automl.compression.base import Form, Outcome, Step, check_steps
from paddle_automl.compression.context import Context, tensors
from paddle_automl.compression.measuring import export_network, exporter_for
from paddle_automl.data.config import DataConfig
from paddle_automl.data.prepare import prepare
from paddle_automl.inputs.base import INPUTS
from paddle_automl.models.config import ModelConfig
from paddle_automl.models.network import Network, build_network
from paddle_automl.paddle_compat.slim.old_ir import new_ir_is_on
from paddle_automl.tasks.metrics.base import Predictions
from paddle_automl.tasks.metrics.spelling import goal_of, measure
from paddle_automl.testing.options import check_options, config_of
from paddle_automl.training.config import TrainingConfig
from paddle_automl.training.evaluation import predict
from paddle_automl.training.loop import train

MODEL = {"backbone": {"name": "resnet", "width": 16, "blocks": [1, 1]}}
RECIPE = {
    "epochs": 8,
    "batch_size": 32,
    "optimizer": {"name": "momentum", "learning_rate": 0.1, "weight_decay": 1e-4},
    "clip_global_norm": 5.0,
}


@functools.cache
def trained_on_digits() -> Context:
    """Return the context of a small network trained on 480 digits."""
    data = prepare(DataConfig.model_validate({"dataset": "digits"}), seed=0)
    data = replace(data, train=data.train.with_indices(data.train.indices[:480]))
    model = build_network(ModelConfig.model_validate(MODEL), data.input, data.task.outputs, seed=0)
    recipe = TrainingConfig.model_validate(RECIPE)
    result = train(model, data, recipe, seed=0, folder=None)
    return Context(data=data.with_task(result.task), training=recipe, original=model)


class CompressionStepContract:
    """Tests of a step: parametrize `plugin` with its class; `options` are its required options, if any.

    Choose options that make it fast, such as one epoch of fine-tuning. A step that does not support images
    overrides `context`. The tests share one compressed network, so they must not change the results of the methods.
    """

    options: ClassVar[dict[str, Any]] = {}
    largest_drop: ClassVar[float] = 0.1
    """Largest allowed drop of the task's main metric."""
    agreement: ClassVar[float] = 0.97
    """Required fraction of items with the same answer of the exported and the compressed network."""

    _outcomes: ClassVar[dict[tuple[type, type], tuple[Network, Outcome]]] = {}
    _devices: ClassVar[dict[tuple[type, type], tuple[str, str]]] = {}
    """The device before and after the step."""

    def context(self, plugin: type[Step]) -> Context:
        """Return the context of a trained network, `Context.original`; the same at each call."""
        if plugin.takes and "image" not in plugin.takes:
            pytest.fail(
                f"override context(): {plugin.__name__} takes {', '.join(sorted(plugin.takes))} input, return the "
                "context of a network trained on that"
            )
        return trained_on_digits()

    def make(self, plugin: type[Step]) -> Step:
        """Return the step with its options."""
        return plugin(config_of(plugin, self.options))

    def applied(self, plugin: type[Step]) -> tuple[Network, Outcome]:
        """Return the given network and the step's result, which is computed once."""
        key = type(self), plugin
        if key not in self._outcomes:
            context = self.context(plugin)
            model = copy.deepcopy(context.original)
            device = paddle.get_device()
            self._outcomes[key] = model, self.make(plugin).apply(model, context)
            self._devices[key] = device, paddle.get_device()
        return self._outcomes[key]

    def arguments(self, plugin: type[Step], count: int = 16) -> list[Tensor]:
        """Return the first validation items as a network's arguments."""
        return tensors(next(self.context(plugin).data.validation.batches(count)).inputs)

    def score(self, plugin: type[Step], outputs: np.ndarray) -> float:
        """Return the task's main metric for outputs ``[N, K]`` of the validation items; higher is better."""
        split = self.context(plugin).data.validation
        key = split.task.metrics[0]
        value = measure([key], Predictions(outputs, split.codes, split.task))[key]
        return value if goal_of(key) == "maximize" else -value

    def test_options_are_described(self, plugin: type[Step]) -> None:
        """Class and options have a docstring."""
        check_options(plugin)

    def test_it_says_what_it_works_on_and_what_it_leaves(self, plugin: type[Step]) -> None:
        """Chains are checked by that."""
        step = self.make(plugin)
        assert step.accepts, "accepts: forms of network that it supports"
        assert all(isinstance(form, Form) for form in (*step.accepts, step.leaves))
        assert step.gain in ("cost", "metric", "sparsity")
        assert all(name in INPUTS for name in step.takes), f"takes: not all of {sorted(step.takes)} are inputs"
        context = self.context(plugin)
        check_steps([step], context.original, context)

    def test_the_network_handed_in_is_untouched(self, plugin: type[Step]) -> None:
        """A rejected step is undone by using the network before it."""
        model, outcome = self.applied(plugin)
        expected = self.context(plugin).original
        assert outcome.model is not model, "apply returns the network that it was given"
        assert set(model.state_dict()) == set(expected.state_dict())
        for key, value in expected.state_dict().items():
            assert np.array_equal(model.state_dict()[key].numpy(), value.numpy()), f"{key} was changed"
        modes = [[layer.training for layer in network.sublayers()] for network in (model, expected)]
        assert modes[0] == modes[1], "training and evaluation modes were changed"
        assert not _hooks(model), "hooks were left in the network that was given"
        twin = copy.deepcopy(model)
        twin.train()
        twin(*self.arguments(plugin, 4)).sum().backward()
        assert any(parameter.grad is not None for parameter in twin.parameters()), "it can no longer be trained"

    def test_the_process_is_left_as_it_was(self, plugin: type[Step]) -> None:
        """Static graphs and the old graph format are switched off again, the device does not change."""
        self.applied(plugin)
        assert paddle.in_dynamic_mode()
        assert new_ir_is_on()
        before, after = self._devices[type(self), plugin]
        assert after == before, f"the device of the process was {before} and is {after}"

    def test_the_new_network_answers_nearly_as_well(self, plugin: type[Step]) -> None:
        """It is in evaluation mode and has the same number of outputs."""
        context, model = self.context(plugin), self.applied(plugin)[1].model
        assert not any(layer.training for layer in model.sublayers(include_self=True)), "not in evaluation mode"
        assert not _hooks(model), "hooks are left in the new network"
        assert list(model(*self.arguments(plugin, 5)).shape) == [5, context.task.outputs]
        before, after = (
            self.score(plugin, predict(network, context.data.validation)) for network in (context.original, model)
        )
        assert after > before - self.largest_drop, f"the main metric fell from {before:.4f} to {after:.4f}"

    def test_facts_are_plain_data(self, plugin: type[Step]) -> None:
        """They are written to the record of the chain."""
        json.dumps(self.applied(plugin)[1].facts)

    def test_the_new_network_can_be_exported(self, plugin: type[Step], tmp_path: Path) -> None:
        """In the format for networks of its form; the exported network gives the same answers."""
        model, data = self.applied(plugin)[1].model, self.context(plugin).data
        form = self.make(plugin).leaves
        exported = export_network(model, exporter_for(form), tmp_path / "out", data, threads=1)
        outputs = predict(model, data.validation)
        assert data.task.agree(outputs, exported.outputs).mean() >= self.agreement
        assert self.score(plugin, exported.outputs) == pytest.approx(self.score(plugin, outputs), abs=0.02)

    def test_the_same_seed_gives_the_same_network(self, plugin: type[Step]) -> None:
        """All random numbers come from the seed of the context."""
        context = self.context(plugin)
        again = self.make(plugin).apply(copy.deepcopy(context.original), context).model
        arguments = self.arguments(plugin)
        first, second = (network(*arguments).numpy() for network in (self.applied(plugin)[1].model, again))
        assert np.array_equal(first, second), "a second application gives another network"


def _hooks(model: nn.Layer) -> bool:
    layers = model.sublayers(include_self=True)
    return any(layer._forward_pre_hooks or layer._forward_post_hooks for layer in layers)
