"""How many epochs of a training fit into its time."""

from types import SimpleNamespace

import pytest

from paddle_automl.core.loading import read_config, validate
from paddle_automl.pipeline.config import RunConfig
from paddle_automl.pipeline.jobs import pacing
from paddle_automl.pipeline.jobs.base import shared_of
from paddle_automl.pipeline.jobs.pacing import HOPE
from paddle_automl.pipeline.jobs.train import TrainRequest
from paddle_automl.pipeline.runs.folder import RunFolder
from paddle_automl.search.executors.base import Worker
from paddle_automl.training.fitting import MARGIN, Pace
from paddle_automl.training.freezing import Start


@pytest.fixture
def request_of(tmp_path, monkeypatch):
    """Return the request of a training on 64 items that fits into a time at a pace."""

    def found(pace, seconds, on="train", alone=False, rate_power=0.0, rate_epochs=0.0, keep="best", **sections):
        config = validate(RunConfig, {"output": str(tmp_path), **sections})
        work = SimpleNamespace(data=SimpleNamespace(train=range(64), joined=lambda: range(64)))
        monkeypatch.setattr(pacing, "learnable", lambda *_: work)
        monkeypatch.setattr(pacing, "_fastest", lambda *_: (pace, 1, []))
        given = {"alone": alone, "rate_power": rate_power, "rate_epochs": rate_epochs, "keep": keep}
        request = TrainRequest(config, tmp_path, shared_of(config), on, **given)
        return pacing.fitted(request, None, None, seconds)[0]

    return found


@pytest.fixture
def fitted(request_of):
    """Return the configuration of such a training."""

    def found(*args, **options):
        return request_of(*args, **options).config

    return found


@pytest.fixture
def steps_in(fitted):
    """Return the steps of such a training."""

    def found(data, on, pace, seconds, **recipe):
        config = fitted(pace, seconds, on, data=data, training={"epochs": 400, **recipe})
        return config.training.epochs * config.training.steps(64)

    return found


@pytest.mark.parametrize(
    ("fold", "on", "networks"), [(None, "train", 4), (2, "train", 1), (None, "train+validation", 1)]
)
def test_the_time_is_divided_among_the_networks_that_are_trained(steps_in, fold, on, networks):
    steps = steps_in({"folds": 4, "fold": fold}, on, Pace(step_s=1.0, evaluation_s=0.0), 88.0)
    assert steps == pytest.approx(88.0 / MARGIN / networks, abs=1.1)


def test_a_training_that_evaluates_nothing_has_the_time_for_steps(steps_in):
    pace = Pace(step_s=1.0, evaluation_s=8.0)
    assert steps_in({}, "train+validation", pace, 96.0) == pytest.approx((96.0 - 8.0) / MARGIN, abs=1.1)
    evaluating = steps_in({}, "train", pace, 96.0)
    assert evaluating < 0.5 * 96.0
    # Nor does it choose a soup.
    soup = Pace(step_s=1.0, evaluation_s=8.0, member_s=8.0)
    assert steps_in({}, "train+validation", soup, 96.0, soup=5) == pytest.approx((96.0 - 8.0) / MARGIN, abs=1.1)


def test_a_training_that_keeps_its_last_epoch_leaves_no_time_for_a_soup(fitted):
    pace, recipe = Pace(step_s=1.0, evaluation_s=0.0, member_s=8.0), {"epochs": 400, "batch_size": 64, "soup": 5}
    assert fitted(pace, 96.0, training=recipe).training.epochs == int(96 / MARGIN - 4 * 8)
    assert fitted(pace, 96.0, keep="last", training=recipe).training.epochs == int(96 / MARGIN)


def test_a_training_with_a_time_limit_is_planned_with_hope(fitted, caplog):
    """Its schedule ends in time even where its steps take longer than planned."""
    pace, recipe = Pace(step_s=1.0, evaluation_s=0.0), {"epochs": 400, "batch_size": 64}
    assert fitted(pace, 100.0, training=recipe).training.epochs == int(100 / MARGIN)
    caplog.clear()
    assert fitted(pace, 100.5, alone=True, training=recipe).training.epochs == int(97.5 / HOPE)
    assert "97 of 400 epochs, because of the time left" in caplog.text


def test_a_plan_of_few_steps_keeps_its_margin(fitted):
    """Its limit sees too late that they take longer."""
    pace, recipe = Pace(step_s=2.0, evaluation_s=0.0), {"epochs": 400, "batch_size": 64}
    assert fitted(pace, 90.0, alone=True, training=recipe).training.epochs == int((90 - 2.7) / 2.0 / MARGIN)


@pytest.mark.parametrize(
    ("seconds", "power", "factor"), [(103.1, 0.5, 0.5), (103.1, 0.0, 1.0), (1000.0, 0.5, 0.25), (20.0, 0.5, 1.0)]
)
def test_the_rate_follows_the_epochs_that_a_training_has(request_of, tmp_path, seconds, power, factor):
    """It is that of a trial of 25 epochs."""
    pace = Pace(step_s=1.0, evaluation_s=0.0)
    recipe = {"epochs": 400, "batch_size": 64, "optimizer": {"name": "momentum", "learning_rate": 0.1}}
    found = request_of(pace, seconds, alone=True, rate_power=power, rate_epochs=25.0, training=recipe).config
    assert found.training.optimizer.learning_rate == pytest.approx(0.1 * factor, rel=0.02)
    written, _ = read_config(RunFolder(tmp_path).config)
    assert written["training"]["optimizer"]["learning_rate"] == found.training.optimizer.learning_rate


def test_steps_are_timed_as_they_are_after_the_frozen_epochs(tmp_path, monkeypatch):
    model = {"pretrained": "weights.pdparams", "frozen_epochs": 1, "thaw_epochs": 2, "trained_stages": 3}
    config = validate(RunConfig, {"model": model, "training": {"epochs": 20, "threads": 1}})
    work = SimpleNamespace(model=None, data=SimpleNamespace(train=range(64)), augment=None)
    starts = []

    def timed(model, data, recipe, *, start, **given):
        starts.append(start)
        return Pace(step_s=0.1, evaluation_s=0.0)

    monkeypatch.setattr(pacing, "learnable", lambda *_: work)
    monkeypatch.setattr(pacing, "callbacks_of", lambda *_: [])
    monkeypatch.setattr(pacing, "measure_pace", timed)
    worker = Worker("cpu", 1, None, lambda epoch, metrics: True)
    pacing.fitted(TrainRequest(config, tmp_path, shared_of(config)), None, worker, 100.0)
    assert starts == [Start(trained_stages=3)]


@pytest.mark.parametrize(
    ("epochs", "before", "after"),
    [
        # Of 20 epochs: the frozen ones, and those after which one more stage thaws.
        (20, (3, 4), (3, 4)),
        (10, (4, 2), (2, 1)),
        (3, (3, 1), (1, 0)),
        (2, (1, 0), (1, 0)),
        (1, (3, 4), (0, 0)),
        (10, (0, 2), (0, 1)),
        (5, (20, 0), (4, 0)),
    ],
)
def test_a_training_that_is_shortened_has_fewer_frozen_epochs(fitted, epochs, before, after):
    model = {"pretrained": "weights.pdparams", "frozen_epochs": before[0], "thaw_epochs": before[1]}
    # An epoch is two steps of 1 s. With time for a whole one there are two shorter ones.
    seconds = 2.01 * epochs if epochs > 1 else 1.01
    recipe = {"epochs": 20, "batch_size": 32}
    config = fitted(Pace(step_s=1.0, evaluation_s=0.0), seconds * MARGIN, model=model, training=recipe)
    assert config.training.epochs == epochs
    assert (config.model.frozen_epochs, config.model.thaw_epochs) == after
