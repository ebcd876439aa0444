import json
import logging
import math
from dataclasses import replace

import numpy as np
import paddle
import pytest

from paddle_automl.core.errors import ConfigError, TrialError
from paddle_automl.core.files import read_json_lines
from paddle_automl.core.loading import validate
from paddle_automl.data.augment.base import AUGMENTATIONS, build_augmenter
from paddle_automl.data.config import DataConfig
from paddle_automl.paddle_compat.weights import load_weights, save_weights
from paddle_automl.training.config import TrainingConfig
from paddle_automl.training.evaluation import evaluate, predict
from paddle_automl.training.freezing import Freezer
from paddle_automl.training.learner import Learner
from paddle_automl.training.loop import Goal, Start, train
from paddle_automl.training.lr_schedules.base import LR_SCHEDULES

MEASURED = ("loss", "accuracy", "macro_f1")

RECIPES = {
    "plain": {},
    "all": {
        "optimizer": {"name": "adamw", "learning_rate": 0.01},
        "lr_schedule": {"name": "step", "warmup_epochs": 0.5},
        "loss": {"name": "center_loss", "label_smoothing": 0.1},
        "class_weights": "balanced",
        "ema": {"decay": 0.9},
        "clip_global_norm": 1.0,
        "gradient_centralization": True,
    },
}


def config(**options):
    return validate(TrainingConfig, {"epochs": 2, "batch_size": 32, **options})


def weights(model):
    return {name: tensor.numpy().copy() for name, tensor in model.state_dict().items()}


def same(first, second):
    return all(np.array_equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("recipe", RECIPES)
def test_learns_and_keeps_the_best_weights(recipe, digits, make_model, tmp_path):
    model, folder = make_model(), tmp_path / "trial"
    seen = {}
    result = train(
        model,
        digits,
        config(epochs=8, batch_size=8, **RECIPES[recipe]),
        seed=0,
        folder=folder,
        report=lambda epoch, metrics: seen.update({epoch: metrics}) or True,
    )
    assert result.metrics["accuracy"] > 0.5
    assert (result.epochs_run, result.stopped, result.amp) == (8, "", "float32")
    assert result.metrics == evaluate(model, digits.validation, MEASURED)
    assert not model.training
    assert same(weights(model), load_weights(folder / "best.pdparams"))
    lines = read_json_lines(folder / "metrics.jsonl")
    assert lines == [{"epoch": epoch, **metrics} for epoch, metrics in seen.items()]
    assert [line["epoch"] for line in lines] == list(range(1, 9))
    keys = {"train_loss", "loss", "accuracy", "macro_f1", "learning_rate", "seconds", "items_per_second"}
    assert all(set(metrics) == keys for metrics in seen.values())
    best = max(seen, key=lambda epoch: (seen[epoch]["accuracy"], -seen[epoch]["loss"]))
    assert result.best_epoch == best
    assert result.metrics["accuracy"] == seen[best]["accuracy"]


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_same_seed_gives_the_same_bits(recipe, digits, make_model):
    augment = build_augmenter(
        validate(DataConfig, {"augment": [{"name": "random_crop", "padding": 1}]}).augment, digits.input
    )

    def run(seed):
        model = make_model(dropout=0.3)
        train(model, digits, config(**RECIPES[recipe]), seed=seed, folder=None, augment=augment)
        return weights(model)

    first = run(5)
    np.random.seed(123)  # noqa: NPY002  a global generator must not matter
    assert same(first, run(5))
    assert not same(first, run(6))


def test_an_infinite_loss_fails_the_trial(digits, make_model, tmp_path):
    options = {"name": "sgd", "learning_rate": 1e30}
    with pytest.raises(TrialError, match=r"diverged: the training loss is (nan|inf) in epoch 1; lower"):
        train(make_model(), digits, config(optimizer=options), seed=0, folder=tmp_path)


def test_divergence_is_caught_within_the_epoch(digits, make_model, monkeypatch):
    steps = []
    monkeypatch.setattr(
        Learner, "step", lambda self, inputs, targets: steps.append(1) or paddle.to_tensor(float("nan"))
    )
    with pytest.raises(TrialError, match="training loss is nan in epoch 1"):
        train(make_model(), digits, config(batch_size=2), seed=0, folder=None)
    assert len(steps) == 20


def test_weights_that_became_nan_fail_the_trial_on_validation(digits, make_model, monkeypatch):
    step = Learner.step

    def poisoned(self, inputs, targets):
        loss = step(self, inputs, targets)
        self.model.fc.weight.set_value(self.model.fc.weight * float("nan"))
        return loss

    monkeypatch.setattr(Learner, "step", poisoned)
    with pytest.raises(TrialError, match="validation loss is nan in epoch 1"):
        train(make_model(), digits, config(batch_size=200), seed=0, folder=None)


def test_report_can_stop(digits, make_model):
    model = make_model()
    result = train(model, digits, config(epochs=5), seed=0, folder=None, report=lambda epoch, metrics: epoch < 2)
    assert (result.epochs_run, result.stopped) == (2, "report")
    assert result.best_epoch in (1, 2)
    assert result.metrics == evaluate(model, digits.validation, MEASURED)


def test_a_stop_after_the_last_epoch_is_no_stop(digits, make_model):
    result = train(make_model(), digits, config(), seed=0, folder=None, report=lambda epoch, _: epoch < 2)
    assert (result.epochs_run, result.stopped) == (2, "")


def test_patience(digits, make_model):
    still = {"name": "sgd", "learning_rate": 1e-12}
    result = train(
        make_model(norm="none"), digits, config(epochs=9, patience=3, optimizer=still), seed=0, folder=None
    )
    assert (result.epochs_run, result.stopped) == (4, "patience")


def test_the_goal_chooses_the_best(digits, make_model, monkeypatch):
    losses = iter([3.0, 1.0, 2.0] * 3)
    monkeypatch.setattr(
        "paddle_automl.training.loop.measure",
        lambda *_: {"loss": next(losses), "accuracy": 0.5, "macro_f1": 0.5},
    )

    def best(goal):
        return train(make_model(), digits, config(epochs=3), goal, seed=0, folder=None).best_epoch

    assert best(Goal("loss", False, MEASURED)) == 2
    assert best(Goal("loss", True, MEASURED)) == 1
    # Of equal ones that of the lowest loss.
    assert best(Goal("accuracy", True, MEASURED)) == 2


def test_goals(digits):
    assert Goal.of(digits.task) == Goal("accuracy", True, MEASURED)
    assert Goal.of(digits.task, "loss") == Goal("loss", False, MEASURED)
    assert Goal.of(digits.task, "balanced_accuracy").metrics == (*MEASURED, "balanced_accuracy")
    mixed = Goal.of(digits.task, "accuracy - 0.1 * loss - 0.001 * flops")
    assert (mixed.metric, mixed.maximize) == ("accuracy - 0.1 * loss", True)
    assert mixed.metrics == (*MEASURED, "accuracy - 0.1 * loss")
    with pytest.raises(ConfigError, match="'flops' does not change with the epochs"):
        Goal.of(digits.task, "flops")
    with pytest.raises(ConfigError, match="'latency_ms' is not measured in each epoch; valid: loss, accuracy"):
        Goal("latency_ms", False, MEASURED)
    with pytest.raises(ConfigError, match="'loss' is not measured in each epoch"):
        Goal("accuracy", True, ("accuracy",))


def test_training_on_both_parts_keeps_the_last_weights(digits, make_model, tmp_path):
    model, seen = make_model(), []
    result = train(
        model,
        digits,
        config(epochs=3, batch_size=8, patience=1, ema={"decay": 0.9}),
        seed=0,
        folder=tmp_path,
        on="train+validation",
        report=lambda epoch, metrics: seen.append(metrics) or True,
    )
    assert (result.epochs_run, result.best_epoch, result.stopped, result.metrics) == (3, 3, "", {})
    assert all("accuracy" not in metrics for metrics in seen)
    assert same(weights(model), load_weights(tmp_path / "best.pdparams"))
    assert evaluate(model, digits.validation, ["accuracy"])["accuracy"] > 0.3
    assert result.task is digits.task


def test_files_of_an_earlier_run_are_replaced(digits, make_model, tmp_path):
    (tmp_path / "metrics.jsonl").write_text(json.dumps({"epoch": 99}) + "\n", encoding="utf-8")
    train(make_model(), digits, config(), seed=0, folder=tmp_path)
    assert [line["epoch"] for line in read_json_lines(tmp_path / "metrics.jsonl")] == [1, 2]


def test_fewer_images_than_a_batch(digits, make_model):
    few = replace(digits, train=digits.train.with_indices(digits.train.indices[:20]))
    result = train(make_model(), few, config(batch_size=64), seed=0, folder=None)
    assert result.epochs_run == 2


def test_frozen_layers_rest_and_then_learn_at_their_own_rate(digits, make_model, tmp_path):
    file = tmp_path / "a.pdparams"
    save_weights(file, make_model(seed=3).state_dict())

    def run(epochs, **options):
        model = make_model(seed=4, pretrained=str(file))
        start = weights(model)
        train(model, digits, config(epochs=epochs), seed=0, folder=None, **options)
        return model, start, weights(model)

    model, start, end = run(1, start=Start(frozen_epochs=1))
    moved = {name for name in start if not np.array_equal(start[name], end[name])}
    assert moved == {"fc.weight", "fc.bias"}
    assert not any(p.stop_gradient for name, p in model.named_parameters() if name.endswith(".weight"))
    _, start, end = run(2, start=Start(frozen_epochs=1), on="train+validation")
    moved = {name for name in start if not np.array_equal(start[name], end[name])}
    assert moved == set(start)

    def distance(rate):
        _, start, end = run(1, start=Start(rate=rate))
        name = "backbone.stem.conv.conv.weight"
        return np.abs(end[name] - start[name]).max()

    assert distance(1e-3) < 0.1 * distance(1.0)


def test_frozen_statistics_stay_while_the_weights_learn(digits, make_model, tmp_path):
    file = tmp_path / "a.pdparams"
    save_weights(file, make_model(seed=3).state_dict())
    for frozen in (True, False):
        model = make_model(seed=4, pretrained=str(file))
        start = weights(model)
        train(model, digits, config(epochs=2), seed=0, folder=None, start=Start(frozen_norm=frozen))
        end = weights(model)
        kept = {name for name in start if np.array_equal(start[name], end[name])}
        statistics = {name for name in start if name.endswith(("_mean", "_variance"))}
        assert kept == (statistics if frozen else set())


def test_the_last_stages_alone_learn_and_one_after_the_other(digits, make_model, tmp_path):
    file = tmp_path / "a.pdparams"
    save_weights(file, make_model(seed=3).state_dict())

    def moved(epochs, **options):
        model = make_model(seed=4, pretrained=str(file))
        start = weights(model)
        train(model, digits, config(epochs=epochs), seed=0, folder=None, start=Start(**options))
        names = {name for name, value in weights(model).items() if not np.array_equal(start[name], value)}
        stages = model.backbone.stage_names()
        return [any(name.startswith(f"backbone.{stage}.") for name in names) for stage in stages], names

    stages, names = moved(1, trained_stages=1)
    assert len(stages) > 1
    assert stages == [False] * (len(stages) - 1) + [True]
    assert "fc.weight" in names
    for epochs in (1, 2):
        assert moved(epochs, thaw_epochs=1)[0] == [False] * (len(stages) - epochs) + [True] * epochs
    assert not any(moved(1, thaw_epochs=1, frozen_epochs=1)[0])


def test_each_stage_has_the_rate_of_the_next_times_the_decay(make_model, tmp_path):
    file = tmp_path / "a.pdparams"
    save_weights(file, make_model(seed=3).state_dict())
    model = make_model(pretrained=str(file))
    rates = Freezer(model, Start(rate=0.5, stage_decay=0.1)).rates
    for depth, stage in enumerate(reversed(model.backbone.stage_names())):
        own = [rate for name, rate in rates.items() if name.startswith(f"backbone.{stage}.")]
        assert own == pytest.approx([0.5 * 0.1 ** (depth + 1)] * len(own)), stage
    assert len(rates) == sum(not p.stop_gradient for p in model.backbone.parameters())


def test_layers_that_were_not_loaded_are_not_frozen(digits, make_model):
    model = make_model()
    start = weights(model)
    train(model, digits, config(epochs=1), seed=0, folder=None, start=Start(frozen_epochs=1))
    assert all(not np.array_equal(start[name], value) for name, value in weights(model).items())


def test_mixed_precision_on_a_cpu_goes_on_in_float32(digits, make_model, caplog):
    caplog.set_level(logging.INFO, "paddle_automl")
    model = make_model()
    result = train(model, digits, config(amp={"dtype": "bfloat16", "level": "O2"}), seed=0, folder=None)
    assert result.amp == "float32"
    assert sum("training.amp: no bfloat16" in record.message for record in caplog.records) == 1
    plain = make_model()
    train(plain, digits, config(), seed=0, folder=None)
    assert same(weights(model), weights(plain))


def test_evaluation_leaves_the_modes_and_covers_every_item(digits, make_model):
    model = make_model()
    model.train()
    model.backbone.stem.eval()
    probabilities = predict(model, digits.validation, batch_size=33)
    assert model.training
    assert not model.backbone.stem.training
    assert probabilities.shape == (80, 10)
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    scores = evaluate(model, digits.validation, MEASURED, batch_size=33)
    assert list(scores) == list(MEASURED)
    labels = digits.validation.codes
    chosen = probabilities[np.arange(80), labels]
    assert scores["loss"] == pytest.approx(-sum(math.log(p) for p in chosen) / 80, rel=1e-5)
    assert scores["accuracy"] == (probabilities.argmax(axis=1) == labels).mean()


@pytest.mark.parametrize("on", ["train", "train+validation"])
def test_the_schedule_observes_each_epoch(on, digits, make_model, monkeypatch):
    observed, lines = [], []
    monkeypatch.setattr(LR_SCHEDULES["cosine"], "observe", lambda self, merit: observed.append(merit))
    goal = Goal("loss", maximize=False, metrics=("loss",))
    train(
        make_model(),
        digits,
        config(),
        goal,
        seed=0,
        folder=None,
        on=on,
        report=lambda epoch, metrics: lines.append(metrics) or True,
    )
    assert observed == [-line["loss" if on == "train" else "train_loss"] for line in lines]


def test_plateau_lowers_the_rate(digits, make_model):
    rates = []
    schedule = {"name": "plateau", "patience": 0, "gamma": 0.5, "min_gain": 1.0}
    train(
        make_model(),
        digits,
        config(epochs=3, lr_schedule=schedule, optimizer={"name": "sgd", "learning_rate": 0.08}),
        seed=0,
        folder=None,
        report=lambda epoch, metrics: rates.append(metrics["learning_rate"]) or True,
    )
    # The first epoch is the best so far; no accuracy gains more than 1.
    assert rates == pytest.approx([0.08, 0.08, 0.04])


def test_augmentations_know_items_and_epoch(digits, make_model, monkeypatch):
    seen = []

    def placed(self, values, targets, rng, place):
        seen.append(place)
        return values, targets

    monkeypatch.setattr(AUGMENTATIONS["alternating_flip"], "placed", placed)
    augment = build_augmenter(validate(DataConfig, {"augment": ["alternating_flip"]}).augment, digits.input)
    train(make_model(), digits, config(batch_size=100), seed=0, folder=None, augment=augment)
    assert [place.epoch for place in seen] == [1, 1, 2, 2]
    for epoch in (seen[:2], seen[2:]):
        items = np.concatenate([place.items for place in epoch])
        assert (np.sort(items) == np.sort(digits.train.indices)).all()
