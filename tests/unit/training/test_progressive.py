"""Cheap first epochs: what they see, what they leave as it is, and where they are refused."""

import numpy as np
import pytest

from paddle_automl.core.errors import ConfigError
from paddle_automl.core.loading import validate
from paddle_automl.data.augment.base import build_augmenter
from paddle_automl.data.config import DataConfig
from paddle_automl.training.config import TrainingConfig
from paddle_automl.training.evaluation import evaluate
from paddle_automl.training.learner import Learner
from paddle_automl.training.loop import train
from paddle_automl.training.progressive import Progressive, check_resolution

CHEAP = {"epochs": 2, "data_fraction": 0.25, "resolution": 0.5}


def config(**options):
    return validate(TrainingConfig, {"epochs": 4, "batch_size": 20, **options})


@pytest.mark.parametrize(
    ("options", "items", "cheap", "whole"),
    [
        ({}, 200, (50, 1, 2), (200, 1, 10)),
        ({"steps_per_epoch": 8}, 200, (40, 1, 2), (160, 1, 8)),
        ({"steps_per_epoch": 1}, 200, (20, 1, 1), (20, 1, 1)),
        ({"steps_per_epoch": 100}, 200, (50, 1, 2), (200, 1, 10)),
        ({"least_steps": 20}, 200, (50, 2, 4), (200, 2, 20)),
        ({"least_steps": 20, "steps_per_epoch": 8}, 200, (40, 2, 2), (160, 2, 8)),
        ({}, 10, (10, 1, 1), (10, 1, 1)),
    ],
)
def test_an_epoch_is_cheap_however_its_steps_are_counted(options, items, cheap, whole):
    """A limit of the steps, or more passes over few items, take nothing of it away."""
    recipe = config(progressive=CHEAP, **options)
    assert recipe.epoch(items, 1) == cheap
    assert recipe.epoch(items, 3) == recipe.epoch(items) == whole


def spied(model, data, recipe, monkeypatch, **options):
    """Train; return the result, the shapes of the batches and the metrics of the epochs."""
    shapes, epochs = [], []
    plain = Learner.step

    def step(self, inputs, targets):
        shapes.append(tuple(inputs[0].shape))
        return plain(self, inputs, targets)

    with monkeypatch.context() as patch:
        patch.setattr(Learner, "step", step)
        result = train(
            model,
            data,
            recipe,
            seed=0,
            folder=None,
            report=lambda _, metrics: epochs.append(metrics) or True,
            **options,
        )
    return result, shapes, epochs


def test_cheap_epochs_use_their_fraction_at_their_size(digits, make_model, monkeypatch):
    model = make_model()
    augment = build_augmenter(
        validate(DataConfig, {"augment": [{"name": "random_crop", "padding": 1}]}).augment, digits.input
    )
    recipe = config(progressive=CHEAP, ema={"decay": 0.9}, clip_global_norm=1.0)
    result, shapes, _ = spied(model, digits, recipe, monkeypatch, augment=augment)
    assert shapes == [(20, 1, 4, 4)] * 4 + [(20, 1, 8, 8)] * 20
    assert result.epochs_run == 4
    assert result.metrics == evaluate(model, digits.validation, ["loss", "accuracy", "macro_f1"])


def test_the_learning_rate_follows_the_epochs(digits, make_model, monkeypatch):
    schedule = {"name": "step", "warmup_epochs": 1, "milestones": [0.5]}
    plain = spied(make_model(), digits, config(lr_schedule=schedule), monkeypatch)[2]
    cheap = spied(make_model(), digits, config(lr_schedule=schedule, progressive=CHEAP), monkeypatch)[2]
    rates = [[epoch["learning_rate"] for epoch in epochs] for epochs in (plain, cheap)]
    assert rates[0][1:] == rates[1][1:]
    assert 0.5 * rates[0][0] <= rates[1][0] <= rates[0][0]


def test_the_fraction_is_drawn_anew_for_each_epoch(digits, monkeypatch):
    rng = np.random.default_rng(0)
    count = Progressive(epochs=3, data_fraction=0.25).count(1, len(digits.train), 20)
    seen = [np.concatenate([b.rows for b in digits.train.batches(20, rng=rng, count=count)]) for _ in range(2)]
    assert len(seen[0]) == len(seen[1]) == count == 50
    assert not np.array_equal(*seen)


def test_nothing_cheap_gives_the_same_bits_as_none(digits, make_model):
    def run(**options):
        model = make_model()
        train(model, digits, config(epochs=2, **options), seed=3, folder=None)
        return [tensor.numpy() for tensor in model.state_dict().values()]

    whole = run(progressive={"epochs": 1, "data_fraction": 1.0, "resolution": 1.0})
    assert all(np.array_equal(a, b) for a, b in zip(run(), whole, strict=True))
    cheap = [run(progressive={"epochs": 1, "data_fraction": 0.3}) for _ in range(2)]
    assert all(np.array_equal(a, b) for a, b in zip(*cheap, strict=True))


def test_counts_and_sizes():
    cheap = Progressive(epochs=2, data_fraction=0.1, resolution=0.5)
    assert [cheap.count(epoch, 1000, 64) for epoch in (1, 2, 3)] == [100, 100, 1000]
    assert cheap.count(1, 1000, 256) == 256
    assert cheap.count(1, 40, 64) == 40
    assert [cheap.shrink_factor(epoch) for epoch in (1, 2, 3)] == [0.5, 0.5, 1.0]
    assert cheap.whole_epochs(1) == pytest.approx(0.025)
    assert cheap.whole_epochs(5) == pytest.approx(3.05)
    assert [cheap.fitting(epochs).epochs for epochs in (1, 2, 5)] == [0, 1, 2]


def test_all_epochs_cheap_is_refused():
    with pytest.raises(ConfigError, match=r"progressive\.epochs must be less than epochs=4, got 4"):
        config(progressive={"epochs": 4})


def test_images_too_small_for_the_network_are_refused(digits, make_model):
    recipe = config(progressive={"epochs": 1, "resolution": 0.1})
    message = r"training\.progressive\.resolution: 0\.1 shrinks images from 8 x 8 to 1 x 1, and the network would"
    model = make_model(norm="instance_norm")
    with pytest.raises(ConfigError, match=message):
        train(model, digits, recipe, seed=0, folder=None)
    assert model.training
    check_resolution(model, digits.input, Progressive(epochs=1, resolution=0.5))


def test_a_map_that_vanishes_is_named(digits, make_model):
    class Narrow(type(make_model())):
        def forward(self, x):
            raise ValueError(f"(InvalidArgument) the map has {x.shape[2]} rows.\nHint: too small")

    model = make_model()
    model.__class__ = Narrow
    with pytest.raises(
        ConfigError, match=r"from 8 x 8 to 2 x 2, and the network cannot take them \(Hint: too small\)"
    ):
        check_resolution(model, digits.input, Progressive(epochs=1, resolution=0.25))
