"""What every step of compression must do; parametrized over the registry."""

from __future__ import annotations

import json
from functools import cache

import numpy as np
import paddle
import pytest

from paddle_automl.compression.base import STEPS, Form, Outcome, Step
from paddle_automl.compression.config import CompressionConfig
from paddle_automl.compression.measuring import export_network, exporter_for
from paddle_automl.core.schema import PluginConfig
from paddle_automl.models.network import Network
from paddle_automl.paddle_compat.slim.old_ir import new_ir_is_on
from paddle_automl.training.evaluation import evaluate, predict
from tests.unit.compression.small import batch, context, digits, trained

QUICK = {
    "prune_filters": {"ratio": 0.25, "tune": {"epochs": 2}},
    "prune_weights": {"ratio": 0.4, "rises": 1, "tune": {"epochs": 2, "average": False}},
    "quantize_aware": {"tune": {"epochs": 1, "rate": 0.02, "average": False}},
    "distill": {"tune": {"epochs": 1}, "method": {"hints": "attention"}},
    "quantize_post": {"analysis": False},
}
"""Options that make a step quick here; another step runs with its defaults."""


def make(name: str) -> Step:
    return STEPS[name](STEPS[name].Config.model_validate({"name": name, **QUICK.get(name, {})}))


@cache
def applied(name: str) -> tuple[Network, Outcome]:
    model = trained()
    return model, make(name).apply(model, context())


def accuracy(model: Network) -> float:
    return evaluate(model, digits().validation, ["accuracy"])["accuracy"]


@pytest.fixture(params=STEPS.names())
def name(request) -> str:
    return request.param


def test_the_steps_that_are_promised():
    assert {"prune_filters", "prune_weights", "quantize_post", "quantize_aware", "distill"} <= set(STEPS.names())


def test_options_are_documented(name):
    config = STEPS[name].Config
    assert issubclass(config, PluginConfig)
    assert all(field.description for field in config.model_fields.values())
    assert STEPS.summary(name)


def test_forms_are_declared(name):
    step = STEPS[name]
    assert step.accepts
    assert all(isinstance(form, Form) for form in (*step.accepts, step.leaves))
    assert make(name).gain in ("cost", "metric", "sparsity")
    assert CompressionConfig.model_validate({"steps": [name]}).steps[0].name == name


def test_the_network_handed_in_is_untouched(name):
    model, outcome = applied(name)
    expected = trained()
    assert outcome.model is not model
    assert set(model.state_dict()) == set(expected.state_dict())
    for key, value in expected.state_dict().items():
        np.testing.assert_array_equal(model.state_dict()[key].numpy(), value.numpy())
    assert [layer.training for layer in model.sublayers()] == [layer.training for layer in expected.sublayers()]
    assert not any(layer._forward_pre_hooks or layer._forward_post_hooks for layer in model.sublayers())
    model.train()
    model(*batch(4)).sum().backward()
    assert model.fc.weight.grad is not None


def test_the_process_is_left_as_it_was(name):
    applied(name)
    assert paddle.in_dynamic_mode()
    assert new_ir_is_on()


def test_the_new_network_still_classifies(name):
    _, outcome = applied(name)
    model = outcome.model
    assert not any(layer.training for layer in model.sublayers(include_self=True))
    assert not any(layer._forward_pre_hooks or layer._forward_post_hooks for layer in model.sublayers())
    assert list(model(*batch(5)).shape) == [5, 10]
    assert accuracy(model) > accuracy(trained()) - 0.1


def test_facts_are_plain_data(name):
    json.dumps(applied(name)[1].facts)


def test_the_new_network_can_be_exported(name, tmp_path):
    model = applied(name)[1].model
    export = export_network(model, exporter_for(STEPS[name].leaves), tmp_path / "out", digits(), threads=1)
    assert digits().task.agree(predict(model, digits().validation), export.outputs).mean() >= 0.97
    assert export.score == pytest.approx(accuracy(model), abs=0.02)


def test_the_same_seed_gives_the_same_network(name):
    first, second = applied(name)[1].model, make(name).apply(trained(), context()).model
    np.testing.assert_array_equal(first(*batch()).numpy(), second(*batch()).numpy())


def test_steps_of_a_frozen_form_are_refused_after_it(name):
    """No step may follow a quantized network, whatever it is."""
    assert Form.QUANTIZED not in STEPS[name].accepts
