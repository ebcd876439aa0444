"""Callbacks: what else takes part in a training."""

from contextlib import contextmanager

import numpy as np
import paddle
import pytest

from paddle_automl.core.loading import validate
from paddle_automl.training.callback import Callback
from paddle_automl.training.config import TrainingConfig
from paddle_automl.training.evaluation import predict
from paddle_automl.training.loop import Keep, train


def config(**options):
    return validate(TrainingConfig, {"epochs": 2, "batch_size": 50, **options})


class Recorder(Callback):
    """Notes in which order it is called."""

    def __init__(self):
        self.calls = []
        self.steps = []

    @contextmanager
    def watching(self):
        self.calls.append("enter")
        yield
        self.calls.append("leave")

    def loss(self, step, loss):
        self.steps.append(step)
        self.calls.append("loss")
        return loss

    def after_step(self):
        self.calls.append("step")

    def before_evaluation(self):
        self.calls.append("evaluation")


def test_a_callback_that_changes_nothing_changes_nothing(digits, make_model):
    first, second, recorder = make_model(), make_model(), Recorder()
    recipe = config(ema={"decay": 0.9}, clip_global_norm=1.0)
    train(first, digits, recipe, seed=0, folder=None)
    train(second, digits, recipe, seed=0, folder=None, callbacks=[recorder, Callback()])
    for name, tensor in first.state_dict().items():
        np.testing.assert_array_equal(tensor.numpy(), second.state_dict()[name].numpy())
    epoch = ["loss", "step"] * 4 + ["evaluation"]
    assert recorder.calls == ["enter", *epoch, *epoch, "leave"]
    step = recorder.steps[0]
    shapes = [tensor.shape for tensor in (*step.inputs, step.targets, step.features, step.outputs)]
    assert shapes == [[50, 1, 8, 8], [50, 10], [50, 8], [50, 10]]


def test_callbacks_change_the_loss_one_after_the_other(digits, make_model):
    class Times(Callback):
        def __init__(self, factor, plus):
            self.factor, self.plus = factor, plus

        def loss(self, step, loss):
            self.before, self.after = float(loss), float(self.factor * loss + self.plus)
            return self.factor * loss + self.plus

    first, second, seen = Times(2.0, 0.0), Times(1.0, 3.0), []
    few = config(epochs=1, batch_size=200)
    train(
        make_model(),
        digits,
        few,
        seed=0,
        folder=None,
        callbacks=[first, second],
        report=lambda _, m: seen.append(m),
    )
    assert second.before == pytest.approx(2 * first.before, rel=1e-6)
    assert seen[0]["train_loss"] == pytest.approx(second.after, rel=1e-6)


def test_a_callbacks_own_parameters_learn_by_the_recipe(digits, make_model):
    class Scale(Callback):
        def __init__(self):
            self.layer = paddle.nn.Linear(10, 10)

        def parameters(self):
            return self.layer.parameters()

        def loss(self, step, loss):
            return loss + (self.layer(step.outputs.detach()) - step.targets).square().mean()

    callback = Scale()
    before = callback.layer.weight.numpy().copy()
    train(make_model(), digits, config(epochs=1), seed=0, folder=None, callbacks=[callback])
    moved = np.abs(callback.layer.weight.numpy() - before).max()
    assert 0 < moved < 1
    still = Scale()
    slow = config(epochs=1, optimizer={"name": "sgd", "learning_rate": 1e-9})
    before = still.layer.weight.numpy().copy()
    train(make_model(), digits, slow, seed=0, folder=None, callbacks=[still])
    assert np.abs(still.layer.weight.numpy() - before).max() < 1e-6


def test_weights_that_a_callback_holds_still_are_averaged_as_held(digits, make_model):
    model = make_model()

    class Zero(Callback):
        @paddle.no_grad()
        def after_step(self):
            model.fc.weight.zero_()

    train(model, digits, config(ema={"decay": 0.9}), seed=0, folder=None, callbacks=[Zero()])
    assert not model.fc.weight.numpy().any()


def test_a_callback_leaves_when_the_training_fails(digits, make_model):
    class Failing(Recorder):
        @contextmanager
        def watching(self):
            try:
                yield
            finally:
                self.calls.append("leave")

        def after_step(self):
            raise RuntimeError("no")

    callback = Failing()
    with pytest.raises(RuntimeError, match="no"):
        train(make_model(), digits, config(), seed=0, folder=None, callbacks=[callback])
    assert callback.calls[-1] == "leave"


def test_the_last_epoch_can_be_kept(digits, make_model, monkeypatch, tmp_path):
    measured = iter([0.9, 0.5, 0.7])
    monkeypatch.setattr(
        "paddle_automl.training.loop.measure",
        lambda *_: {"loss": 1.0, "accuracy": next(measured), "macro_f1": 0.5},
    )
    model = make_model()
    result = train(model, digits, config(epochs=3), seed=0, folder=tmp_path, keep=Keep("last"))
    assert (result.best_epoch, result.metrics["accuracy"]) == (3, 0.7)
    measured = iter([0.9, 0.5, 0.7, 0.8, 0.1])
    early = train(make_model(), digits, config(epochs=5, patience=2), seed=0, folder=None, keep=Keep("last"))
    assert (early.epochs_run, early.best_epoch, early.stopped) == (3, 3, "patience")


def test_the_purpose_gives_other_random_numbers(digits, make_model):
    def run(keep=None):
        model = make_model(dropout=0.3)
        train(model, digits, config(epochs=1), seed=0, folder=None, keep=keep)
        return predict(model, digits.validation)

    first, same, other, plain = run(Keep(purpose="a")), run(Keep(purpose="a")), run(Keep(purpose="b")), run()
    assert np.array_equal(first, same)
    assert not np.array_equal(first, other)
    assert not np.array_equal(other, plain)
