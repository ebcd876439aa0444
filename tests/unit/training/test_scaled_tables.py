"""Scaled losses of float16 with tables: the same steps as without, and no step at all where a gradient overflowed.

There may be no GPU here, so Paddle's scaler is told that this machine has one; its operators run on a CPU too.
"""

from types import SimpleNamespace

import numpy as np
import paddle
import pytest

from paddle_automl.core.loading import validate
from paddle_automl.models.backbones.base import BACKBONES
from paddle_automl.models.config import ModelConfig
from paddle_automl.models.network import build_network
from paddle_automl.training.config import TrainingConfig
from paddle_automl.training.learner import Learner
from tests.unit.training.test_solving import data

BOTH = {"name": "sum", "parts": {"wide": "wide", "bag": {"name": "bag", "width": 4, "dropout": 0.0}}}


@pytest.fixture
def scaler_of(monkeypatch):
    place = SimpleNamespace(is_gpu_place=lambda: True)
    monkeypatch.setattr(paddle.amp.grad_scaler, "_dygraph_tracer", lambda: SimpleNamespace(_expected_place=place))
    monkeypatch.setattr(paddle.amp.grad_scaler, "amp_global_state", lambda: SimpleNamespace(amp_dtype="float16"))
    return lambda scale: paddle.amp.GradScaler(init_loss_scaling=scale, decr_every_n_nan_or_inf=1)


def learner_of(scaler, backbone=BOTH, optimizer="momentum"):
    config = validate(ModelConfig, {"backbone": backbone})
    given = data(BACKBONES[config.backbone.name].arrays(config.backbone))
    paddle.seed(0)
    model = build_network(config, given.input, 2, seed=0)
    recipe = {"batch_size": 8, "optimizer": optimizer, "clip_global_norm": 0.05, "lr_schedule": "constant"}
    learner = Learner.on(model, given, validate(TrainingConfig, recipe).for_task(given.task))
    learner.precision.scaler = scaler
    learner.begin(1)
    return learner, given


def steps(learner, given, count=4):
    # Dropout.
    paddle.seed(1)
    for batch in list(given.train.batches(8, rng=np.random.default_rng(0)))[:count]:
        learner.step([paddle.to_tensor(array) for array in batch.inputs.values()], paddle.to_tensor(batch.targets))


def weights_of(learner):
    return {name: tensor.numpy().copy() for name, tensor in learner.model.state_dict().items()}


@pytest.mark.parametrize("scale", [2.0, 2.0**16])
@pytest.mark.parametrize("optimizer", ["momentum", "sgd", "adam", "sam"])
def test_a_scaled_loss_gives_the_same_steps(scaler_of, scale, optimizer):
    """Also of rules that see the size of gradients, with clipping by the norm of all of them."""
    plain, scaled = (learner_of(scaler, optimizer=optimizer) for scaler in (None, scaler_of(scale)))
    before = weights_of(scaled[0])
    for learner, given in (plain, scaled):
        steps(learner, given)
    found = weights_of(scaled[0])
    for name, wanted in weights_of(plain[0]).items():
        np.testing.assert_allclose(found[name], wanted, rtol=1e-3, atol=1e-6, err_msg=name)
    assert any(np.abs(found[name] - before[name]).max() > 1e-4 for name in found)


@pytest.mark.parametrize("backbone", [BOTH, {"name": "wide"}])
def test_nothing_changes_where_a_gradient_overflowed(scaler_of, backbone):
    """Neither weights nor the means of their gradients, and the scale is lowered."""
    scaler = scaler_of(4.0)
    learner, given = learner_of(scaler, backbone)
    twin, _ = learner_of(scaler_of(4.0), backbone)
    steps(learner, given, 1)
    steps(twin, given, 1)
    before = weights_of(learner)
    batch = next(iter(given.train.batches(8, rng=np.random.default_rng(0))))
    inputs = [paddle.to_tensor(array) for array in batch.inputs.values()]
    learner.step(inputs, paddle.full(batch.targets.shape, float("inf")))
    for name, tensor in weights_of(learner).items():
        np.testing.assert_array_equal(tensor, before[name], err_msg=name)
    assert scaler.state_dict()["scale"].item() == 2.0
    for each in (learner, twin):
        steps(each, given, 2)
    wanted = weights_of(twin)
    for name, tensor in weights_of(learner).items():
        np.testing.assert_allclose(tensor, wanted[name], rtol=1e-3, atol=1e-6, err_msg=name)


def test_a_table_whose_gradient_alone_overflowed_stays(scaler_of):
    scaler = scaler_of(4.0)
    learner, given = learner_of(scaler, {"name": "wide"})
    table = next(layer for layer in learner.model.sublayers() if hasattr(layer, "solved"))
    backward = learner.precision.backward

    def overflowing(loss):
        backward(loss)
        with paddle.no_grad():
            for rows in table.used:
                rows.values.grad.scale_(float("inf"))

    before = weights_of(learner)
    learner.precision.backward = overflowing
    steps(learner, given, 1)
    for name, tensor in weights_of(learner).items():
        np.testing.assert_array_equal(tensor, before[name], err_msg=name)
    assert scaler.state_dict()["scale"].item() == 2.0
