"""Every step of compression against its contract, and what those of the package keep beyond it."""

from __future__ import annotations

import functools
import tempfile
from dataclasses import replace
from pathlib import Path

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
from paddle_automl.models.config import ModelConfig
from paddle_automl.models.layers import LayerFactory
from paddle_automl.models.network import Network, build_network
from paddle_automl.models.norms import NORMS
from paddle_automl.models.text.compact_table import largest_rows
from paddle_automl.testing.compression_steps import CompressionStepContract, trained_on_digits
from paddle_automl.training.config import TrainingConfig
from paddle_automl.training.evaluation import predict
from paddle_automl.training.loop import train
from tests.contracts.registering import registered
from tests.contracts.toys import Lines, Texts

QUICK = {
    "prune_filters": {"ratio": 0.25, "tune": {"epochs": 2}},
    "prune_weights": {"ratio": 0.4, "increases": 1, "tune": {"epochs": 2, "average": False}},
    "quantize_aware": {"tune": {"epochs": 1, "rate": 0.02, "average": False}},
    "distill": {"tune": {"epochs": 1}, "method": {"hints": "attention"}},
    "quantize_post": {"analysis": False},
    "compact_tables": {"keep": 100},
}
"""Options that make a step quick here; another step runs with its defaults."""


@functools.cache
def trained_on_texts():
    """Return the context of a linear model of n-grams, solved on 300 short texts."""
    rng = np.random.default_rng(0)
    words = {0: ("clean", "quiet", "lovely"), 1: ("noisy", "dirty", "broken")}
    rows = [
        " ".join([*rng.choice(words[number % 2], 2), *rng.choice(("room", "bed", "street", "food"), 3)])
        for number in range(300)
    ]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "a.csv")
        lines = [f"{text},{number % 2}" for number, text in enumerate(rows)]
        file.write_text("\n".join(["text,label", *lines]), "utf-8")
        dataset = {"name": "text_table", "file": str(file), "text": "text", "label": "label"}
        data = prepare(DataConfig.model_validate({"dataset": dataset}), seed=0, arrays=("ngrams", "ngram_weights"))
    model = build_network(ModelConfig.model_validate({"backbone": "linear_ngrams"}), data.input, 2, seed=0)
    recipe = TrainingConfig.model_validate({"epochs": 1, "loss": "cross_entropy"})
    result = train(model, data, recipe, seed=0, folder=None)
    return Context(data=data.with_task(result.task), training=recipe, original=model)


@pytest.mark.parametrize("plugin", [STEPS[name] for name in STEPS.names()], ids=STEPS.names())
class TestSteps(CompressionStepContract):
    @pytest.fixture(autouse=True)
    def _use(self, plugin):
        self.options = QUICK.get(plugin.name, {})

    def context(self, plugin):
        return trained_on_texts() if plugin.takes == {"text"} else super().context(plugin)

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


class Watching(Rounded):
    """Leaves a hook on the network that it was given."""

    def apply(self, model, context):
        outcome = super().apply(model, context)
        model.register_forward_post_hook(lambda layer, given, made: None)
        return outcome


class Moving(Rounded):
    """Leaves the process on another device."""

    device = "cpu"

    def apply(self, model, context):
        type(self).device = "gpu:0"
        return super().apply(model, context)


def test_a_step_that_changes_the_device_is_caught(monkeypatch):
    contract = CompressionStepContract()
    contract.context(Moving)
    monkeypatch.setattr(paddle, "get_device", lambda: Moving.device)
    # The network is compressed by whichever test comes first.
    contract.test_the_network_handed_in_is_untouched(Moving)
    with pytest.raises(AssertionError, match="the device of the process was cpu and is gpu:0"):
        contract.test_the_process_is_left_as_it_was(Moving)


@pytest.mark.parametrize(
    ("plugin", "test", "message"),
    [
        (Careless, "test_the_network_handed_in_is_untouched", r"fc\.bias was changed"),
        (Lazy, "test_the_network_handed_in_is_untouched", "apply returns the network that it was given"),
        (Watching, "test_the_network_handed_in_is_untouched", "hooks were left in the network that was given"),
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


def test_a_compact_table_has_the_largest_rows():
    context = trained_on_texts()
    kind = STEPS["compact_tables"]

    def outputs(**options):
        step = kind(kind.Config(name="compact_tables", **options))
        made = step.apply(context.original, context)
        return made.facts["tables"], predict(made.model, context.data.validation)

    expected = predict(context.original, context.data.validation)
    (facts,), whole = [*outputs(keep=None, bits=32)[0].values()], outputs(keep=None, bits=32)[1]
    np.testing.assert_allclose(whole, expected, atol=1e-6)
    assert facts["kept"] <= facts["rows"] == context.data.input.rows("ngrams") - 1
    np.testing.assert_allclose(outputs(keep=None, bits=8)[1], expected, atol=0.01)
    assert not np.allclose(outputs(keep=10, bits=32)[1], expected, atol=0.01)
    values = np.array([[9.0, 9.0], [0, 0], [1, -3], [2, 0], [0, 1]])
    assert largest_rows(values, 2).tolist() == [2, 3]
    assert largest_rows(values, None).tolist() == [2, 3, 4]
