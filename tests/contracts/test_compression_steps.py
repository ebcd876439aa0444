"""Every step of compression against its contract, and what those of the package keep beyond it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import paddle
import pytest
from paddle import nn

from paddle_automl.compression.base import STEPS, Form, Outcome, Step, check_steps
from paddle_automl.compression.config import CompressionConfig
from paddle_automl.compression.context import Context
from paddle_automl.compression.copying import copy_of
from paddle_automl.core.errors import ConfigError
from paddle_automl.data.config import DataConfig
from paddle_automl.data.datasets.base import DATASETS
from paddle_automl.data.prepare import prepare
from paddle_automl.inputs.base import INPUTS
from paddle_automl.models.backbones.base import Backbone
from paddle_automl.models.layers import LayerFactory
from paddle_automl.models.network import Network
from paddle_automl.models.norms import NORMS
from paddle_automl.testing.compression_steps import CompressionStepContract, trained_on_digits
from paddle_automl.training.config import TrainingConfig
from paddle_automl.training.evaluation import predict
from tests.contracts.registering import registered
from tests.contracts.toys import Lines, Texts

QUICK = {
    "prune_filters": {"ratio": 0.25, "tune": {"epochs": 2}},
    "prune_weights": {"ratio": 0.4, "increases": 1, "tune": {"epochs": 2, "average": False}},
    "quantize_aware": {"tune": {"epochs": 1, "rate": 0.02, "average": False}},
    "distill": {"tune": {"epochs": 1}, "method": {"hints": "attention"}},
    "quantize_post": {"analysis": False},
}
"""Options that make a step quick here; another step runs with its defaults."""


@pytest.mark.parametrize("plugin", [STEPS[name] for name in STEPS.names()], ids=STEPS.names())
class TestSteps(CompressionStepContract):
    @pytest.fixture(autouse=True)
    def _use(self, plugin):
        self.options = QUICK.get(plugin.name, {})

    def test_it_can_begin_a_chain(self, plugin):
        assert CompressionConfig.model_validate({"steps": [plugin.name]}).steps[0].name == plugin.name

    def test_none_works_on_a_quantized_network(self, plugin):
        assert Form.QUANTIZED not in plugin.accepts


def test_the_steps_that_are_promised():
    assert {"prune_filters", "prune_weights", "quantize_post", "quantize_aware", "distill"} <= set(STEPS.names())


class Rounded(Step):
    """Rounds the weights, so that an archive of their file is smaller; for networks of any input."""

    name = "rounded"
    takes = frozenset()

    def apply(self, model, context):
        twin = copy_of(model)
        with paddle.no_grad():
            for parameter in twin.parameters():
                parameter.set_value(paddle.round(parameter * 4096) / 4096)
        return Outcome(twin, {"weights": sum(int(parameter.size) for parameter in twin.parameters())})


@pytest.mark.parametrize("plugin", [Rounded])
class TestOfAnyInput(CompressionStepContract):
    pass


class Sum(Backbone):
    """Two arrays of a text to features."""

    takes = "toy_text"

    def __init__(self):
        super().__init__()
        self.out_features = 3
        self.words = nn.Embedding(200, 3)
        self.rest = nn.Linear(1, 3)

    @classmethod
    def build(cls, config, *, input, layers):
        return cls()

    def forward(self, ids, length):
        return self.words(ids).mean(axis=1) + self.rest(length)


class RoundedTexts(Rounded):
    """Rounds networks of texts alone."""

    takes = frozenset({"toy_text"})


@pytest.fixture(scope="module")
def texts():
    """The context of a network of texts, with their input loaded for a while."""
    with registered(INPUTS, "toy_text", Texts), registered(DATASETS, "toy_lines", Lines):
        data = prepare(DataConfig.model_validate({"dataset": "toy_lines"}), seed=0)
        paddle.seed(0)
        layers = LayerFactory("relu", NORMS["none"].Config(name="none"), "kaiming_normal")
        model = Network(Sum(), layers, outputs=data.task.outputs, dropout=0.0)
        yield Context(data=data, training=TrainingConfig(), original=model)


@pytest.mark.parametrize("plugin", [RoundedTexts])
class TestOfTexts(CompressionStepContract):
    @pytest.fixture(autouse=True)
    def _use(self, texts):
        self.given = texts

    def context(self, plugin):
        return self.given


@pytest.mark.parametrize("name", ["prune_filters", "quantize_post"])
def test_steps_for_images_refuse_other_inputs(texts, name):
    with pytest.raises(ConfigError, match=rf"compression\.steps\.0: {name} needs a network that takes image input"):
        check_steps([STEPS[name](STEPS[name].Config(name=name))], texts.original, texts)


class Careless(Rounded):
    """Changes the network that it was given."""

    def apply(self, model, context):
        with paddle.no_grad():
            model.fc.bias.set_value(model.fc.bias + 1e-3)
        return super().apply(model, context)


class Lazy(Rounded):
    """Returns the network that it was given."""

    def apply(self, model, context):
        return Outcome(model)


class Harmful(Rounded):
    """Leaves nothing of the network."""

    def apply(self, model, context):
        outcome = super().apply(model, context)
        with paddle.no_grad():
            outcome.model.fc.weight.set_value(paddle.zeros_like(outcome.model.fc.weight))
        return outcome


class Moody(Rounded):
    """Draws without a seed."""

    def apply(self, model, context):
        outcome = super().apply(model, context)
        noise = np.random.default_rng().normal(0, 1e-4, outcome.model.fc.bias.shape).astype(np.float32)
        with paddle.no_grad():
            outcome.model.fc.bias.set_value(outcome.model.fc.bias + paddle.to_tensor(noise))
        return outcome


class Learning(Rounded):
    """Forgets the evaluation mode, and a fact that is no plain data."""

    def apply(self, model, context):
        outcome = super().apply(model, context)
        outcome.model.train()
        return replace(outcome, facts={"ratio": np.float32(0.5)})


@pytest.mark.parametrize(
    ("plugin", "test", "message"),
    [
        (Careless, "test_the_network_handed_in_is_untouched", r"fc\.bias was changed"),
        (Lazy, "test_the_network_handed_in_is_untouched", "apply returns the network that it was given"),
        (Harmful, "test_the_new_network_answers_nearly_as_well", "the main metric fell from 0.9"),
        (Moody, "test_the_same_seed_gives_the_same_network", "a second application gives another network"),
        (Learning, "test_the_new_network_answers_nearly_as_well", "not in evaluation mode"),
    ],
)
def test_a_wrong_step_is_caught(plugin, test, message):
    with pytest.raises(AssertionError, match=message):
        getattr(CompressionStepContract(), test)(plugin)


def test_facts_that_cannot_be_written_are_caught():
    with pytest.raises(TypeError, match="not JSON serializable"):
        CompressionStepContract().test_facts_are_plain_data(Learning)


def test_a_step_of_another_input_says_what_to_do():
    with pytest.raises(pytest.fail.Exception, match=r"override context\(\): RoundedTexts takes toy_text input"):
        CompressionStepContract().test_facts_are_plain_data(RoundedTexts)


def test_the_network_of_the_contract_has_learned_the_digits():
    context = trained_on_digits()
    outputs = predict(context.original, context.data.validation)
    assert CompressionStepContract().score(Rounded, outputs) > 0.9
