"""Rates, units and ends by kind of parameter."""

import numpy as np
import paddle
import pytest

from paddle_automl.compression.finetuning import FineTuning
from paddle_automl.core.errors import ConfigError
from paddle_automl.core.loading import validate
from paddle_automl.models.config import ModelConfig
from paddle_automl.models.kinds import parameter_kinds
from paddle_automl.models.network import build_network
from paddle_automl.training.config import TrainingConfig
from paddle_automl.training.learner import Learner
from paddle_automl.training.loop import train
from paddle_automl.training.optimizers.base import decoupled_unit
from paddle_automl.training.recipe import build_optimizer


def config(**options):
    return validate(TrainingConfig, options)


@pytest.fixture
def speednet(digits):
    return build_network(
        validate(ModelConfig, {"backbone": {"name": "speednet", "width": 0.0625}}), digits.input, 10, seed=0
    )


def rates_of(model):
    return {name: p.optimize_attr["learning_rate"] for name, p in model.named_parameters() if not p.stop_gradient}


def test_each_parameter_has_a_kind(make_model, speednet):
    kinds = parameter_kinds(make_model(norm="group_norm"))
    assert kinds["backbone.stem.conv.conv.weight"] == "kernel"
    assert kinds["backbone.stem.conv.norm.weight"] == "norm_scale"
    assert kinds["backbone.stem.conv.norm.bias"] == "norm_bias"
    assert (kinds["fc.weight"], kinds["fc.bias"]) == ("head", "bias")
    model = make_model()
    model.fc = paddle.nn.Sequential(paddle.nn.Linear(8, 4), paddle.nn.Linear(4, 2))
    kinds = parameter_kinds(model)
    assert (kinds["fc.0.weight"], kinds["fc.1.weight"], kinds["fc.1.bias"]) == ("matrix", "head", "bias")
    kinds = parameter_kinds(speednet)
    assert kinds["backbone.whiten.bias"] == "whitening_bias"
    assert kinds.keys() == dict(speednet.named_parameters()).keys()
    assert parameter_kinds(paddle.nn.Sequential(paddle.nn.Linear(2, 2))) == {"0.weight": "matrix", "0.bias": "bias"}


def test_rates_multiply_the_learning_rate(make_model, speednet):
    build_optimizer(speednet, config(rates={"norm_bias": 64, "head": 2.0, "whitening_bias": 3.0}))
    rates = rates_of(speednet)
    assert rates["backbone.groups.0.norms.0.bias"] == 64
    assert (rates["fc.weight"], rates["backbone.whiten.bias"]) == (2, 3)
    assert rates["backbone.groups.0.convs.0.weight"] == 1
    model = make_model()
    build_optimizer(model, config(rates={"bias": 64.0}), loaded={"fc.bias": 0.5})
    assert rates_of(model)["fc.bias"] == 32


def test_an_unknown_kind_is_named_with_the_valid_ones():
    message = r"rates.bais: unknown key; did you mean 'bias'\? valid: kernel, matrix, head, bias, norm_scale"
    with pytest.raises(ConfigError, match=message):
        config(rates={"bais": 64})
    with pytest.raises(ConfigError, match=r"ends.whitening: unknown key"):
        config(ends={"whitening": 0.3})
    with pytest.raises(ConfigError, match=r"ends.head: input should be less than or equal to 1"):
        config(ends={"head": 1.5})


def test_decoupled_units_separate_rate_batch_and_momentum(make_model):
    assert decoupled_unit(0.85, 1024) == pytest.approx(1 / (1 + 1 / 0.15))

    def factor(batch_size, optimizer):
        model = make_model()
        build_optimizer(model, config(batch_size=batch_size, optimizer=optimizer))
        (found,) = set(rates_of(model).values())
        return found

    nesterov = {"name": "momentum", "momentum": 0.85, "units": "decoupled"}
    assert factor(512, nesterov) == pytest.approx(decoupled_unit(0.85, 512))
    assert factor(1024, nesterov) == pytest.approx(2 * factor(512, nesterov))
    assert factor(1024, {"name": "sgd", "units": "decoupled"}) == pytest.approx(0.5)
    assert factor(512, {"name": "lookahead", "base": nesterov}) == factor(512, nesterov)
    assert factor(64, {"name": "momentum"}) == 1


def test_fine_tuning_slows_every_rate_and_ends_nothing():
    muon = {"name": "muon", "learning_rate": 0.2, "descent_rate": 4.0}
    recipe = FineTuning(rate=0.5).recipe(config(optimizer=muon, ends={"head": 0.5}))
    assert (recipe.optimizer.learning_rate, recipe.optimizer.descent_rate) == (0.1, 2.0)
    assert recipe.ends.head is None
    recipe = FineTuning(rate=0.5).recipe(config(optimizer={"name": "sam", "learning_rate": 0.2, "base": "muon"}))
    assert (recipe.optimizer.learning_rate, recipe.optimizer.base.descent_rate) == (0.1, 0.025)


@pytest.mark.parametrize("optimizer", ["momentum", "sam", {"name": "lookahead", "steps": 3}, "schedule_free"])
def test_a_kind_stops_at_its_end(digits, speednet, optimizer):
    ends = {"whitening_bias": 0.5, "head": 0.25}
    recipe = config(epochs=2, batch_size=50, ends=ends, optimizer=optimizer)
    learner = Learner.on(speednet, digits, recipe)
    watched = {"bias": speednet.backbone.whiten.bias, "head": speednet.fc.weight}
    seen = []
    for epoch in (1, 2):
        learner.begin(epoch)
        for batch in digits.train.batches(50, rng=np.random.default_rng(epoch)):
            before = {name: tensor.numpy().copy() for name, tensor in watched.items()}
            learner.step([paddle.to_tensor(a) for a in batch.inputs.values()], paddle.to_tensor(batch.targets))
            seen.append({name for name, tensor in watched.items() if (tensor.numpy() != before[name]).any()})
    assert seen == [{"bias", "head"}] * 2 + [{"bias"}] * 2 + [set()] * 4
    # The average of the weights, if there is one, has them too.
    kept = {name: tensor.numpy() for name, tensor in watched.items()}
    with learner.evaluated():
        assert all((tensor.numpy() == kept[name]).all() for name, tensor in watched.items())


def test_all_parameters_are_trainable_afterwards(digits, speednet):
    train(speednet, digits, config(epochs=1, ends={"whitening_bias": 0.3}), seed=0, folder=None)
    assert not speednet.backbone.whiten.bias.stop_gradient
