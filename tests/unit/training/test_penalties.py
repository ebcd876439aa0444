"""The L1 penalty, and losses that look at the network, in whole trainings."""

import numpy as np
import paddle
import pytest

from paddle_automl.core.errors import ConfigError
from paddle_automl.core.loading import validate
from paddle_automl.training.config import TrainingConfig
from paddle_automl.training.learner import Learner
from paddle_automl.training.loop import train

LONGER = {"epochs": 30, "optimizer": {"name": "adamw", "learning_rate": 0.03}}


def recipe(**options):
    given = {"epochs": 2, "batch_size": 50, "optimizer": {"name": "sgd", "learning_rate": 0.1}, **options}
    return validate(TrainingConfig, given)


def step(digits, model, config):
    learner = Learner.on(model, digits, config)
    learner.begin(1)
    batch = next(digits.train.batches(50))
    return learner.step([paddle.to_tensor(item) for item in batch.inputs.values()], paddle.to_tensor(batch.targets))


def test_the_penalty_pulls_kernels_and_weights_by_a_constant(digits, make_model):
    plain, penalized = make_model(), make_model()
    before = {name: p.numpy().copy() for name, p in plain.named_parameters()}
    total = sum(np.abs(p.numpy()).sum() for p in plain.parameters() if p.ndim > 1)
    losses = [float(step(digits, plain, recipe())), float(step(digits, penalized, recipe(l1=0.01)))]
    assert losses[1] - losses[0] == pytest.approx(0.01 * total, rel=1e-3)
    others = dict(penalized.named_parameters())
    for name, parameter in plain.named_parameters():
        if parameter.stop_gradient:
            continue
        difference = parameter.numpy() - others[name].numpy()
        expected = 0.1 * 0.01 * np.sign(before[name]) if parameter.ndim > 1 else np.zeros_like(difference)
        np.testing.assert_allclose(difference, expected, atol=2e-6)


def test_no_penalty_without_the_option(digits, make_model):
    assert Learner.on(make_model(), digits, recipe()).callbacks == ()
    assert recipe().l1 is None
    with pytest.raises(ConfigError, match="l1"):
        recipe(l1=0.0)


def test_arcface_trains_a_cosine_head_and_refuses_a_linear_one(digits, make_model):
    with pytest.raises(ConfigError, match="arcface"):
        train(make_model(), digits, recipe(loss="arcface"), seed=0, folder=None)
    model = make_model(head="cosine")
    before = model.fc.scale.item()
    found = train(model, digits, recipe(loss="arcface", **LONGER), seed=0, folder=None).metrics
    assert found["accuracy"] > 0.5
    # The scale of the head is learned through the loss.
    assert model.fc.scale.item() != before


def test_squares_train_classes(digits, make_model):
    found = train(make_model(), digits, recipe(loss="mse_one_hot", **LONGER), seed=0, folder=None).metrics
    assert found["accuracy"] > 0.5
