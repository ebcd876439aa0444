"""Training for tasks other than one class: what is minimized, measured, tuned and predicted."""

import numpy as np
import paddle
import pytest

from paddle_automl.core.loading import validate
from paddle_automl.tasks.base import TASKS, Final
from paddle_automl.training.config import TrainingConfig
from paddle_automl.training.evaluation import evaluate, predict
from paddle_automl.training.final import final_tensor
from paddle_automl.training.loop import train


def config(**options):
    return validate(TrainingConfig, {"epochs": 8, "batch_size": 8, **options})


def as_task(digits, name, **options):
    """The digits, their names as labels or as numbers."""
    kind = TASKS[name]
    task = kind.fit(kind.Config(name=name, **options), digits.train.everything.targets)
    return digits.with_task(task.with_training(task.encode(digits.train.everything.targets)[digits.train.indices]))


@pytest.mark.parametrize("loss", ["auto", "asymmetric"])
def test_several_labels(digits, make_model, loss):
    data, model, seen = as_task(digits, "multi_label"), make_model(), []
    result = train(
        model,
        data,
        config(loss=loss, optimizer={"name": "adam", "learning_rate": 0.02}, class_weights="balanced"),
        seed=0,
        folder=None,
        report=lambda _, metrics: seen.append(metrics) or True,
    )
    keys = ["loss", "macro_f1", "micro_f1", "mean_average_precision"]
    assert list(seen[0])[3:-1] == keys
    assert result.metrics["macro_f1"] == max(metrics["macro_f1"] for metrics in seen)
    assert result.metrics["mean_average_precision"] > 0.7
    # Each epoch is measured as its network would be used: with thresholds chosen on validation.
    assert result.metrics == evaluate(model, data.validation.with_task(result.task), keys)
    plain = evaluate(model, data.validation, ["macro_f1"])
    assert result.metrics["macro_f1"] >= plain["macro_f1"]
    outputs = predict(model, data.validation)
    assert outputs.min() >= 0
    assert outputs.max() <= 1
    assert set(data.task.fitted.thresholds) == {0.5}
    assert result.task.fitted == data.task.tuned(outputs, data.validation.codes).fitted


def test_thresholds_belong_to_the_epoch_that_is_kept(digits, make_model):
    data, model = as_task(digits, "multi_label"), make_model()
    falling = {"name": "momentum", "learning_rate": 0.2}
    result = train(model, data, config(epochs=3, batch_size=20, optimizer=falling), seed=0, folder=None)
    assert result.task.fitted == data.task.tuned(predict(model, data.validation), data.validation.codes).fitted


@pytest.mark.parametrize("loss", ["mse", "mae", "huber"])
def test_numbers_are_predicted_in_their_own_unit(digits, make_model, loss):
    data, model = as_task(digits, "regression"), make_model(outputs=1)
    assert data.task.outputs == 1
    result = train(
        model,
        data,
        config(loss=loss, optimizer={"name": "adam", "learning_rate": 0.02}, ema={"decay": 0.9}),
        seed=0,
        folder=None,
    )
    assert result.metrics["r2"] > 0.5
    outputs = predict(model, data.validation)
    assert outputs.shape == (80, 1)
    error = np.abs(outputs - data.validation.codes).mean()
    assert result.metrics["mae"] == pytest.approx(error, rel=1e-5)
    assert error < 1.7
    # The task stays as it was: nothing of a regression is chosen on validation.
    assert result.task.fitted == data.task.fitted


def test_an_interval_holds_about_its_fraction(digits, make_model):
    data, model = as_task(digits, "regression", interval=0.8), make_model(outputs=3)
    optimizer = {"name": "adam", "learning_rate": 0.02}
    train(model, data, config(epochs=12, optimizer=optimizer), seed=0, folder=None)
    low, high = data.task.bounds(predict(model, data.train))
    inside = ((low <= data.train.codes) & (data.train.codes <= high)).mean()
    assert 0.6 < inside < 0.95


@pytest.mark.parametrize(
    "final",
    [
        Final("softmax"),
        Final("sigmoid"),
        Final("identity"),
        Final("identity", scale=(2.0, 0.5, 1.0), shift=(1.0, 0.0, -3.0)),
    ],
    ids=lambda final: final.activation,
)
def test_the_last_step_is_that_of_numpy(final):
    raw = np.random.default_rng(0).normal(0, 4, (5, 3)).astype("float32")
    np.testing.assert_allclose(final_tensor(paddle.to_tensor(raw), final).numpy(), final(raw), rtol=1e-5, atol=1e-6)
