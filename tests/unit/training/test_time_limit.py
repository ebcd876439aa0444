"""A training that ends in time, with its whole schedule, although its steps take longer than planned."""

import json
import math

import pytest

from paddle_automl.core.loading import validate
from paddle_automl.training import time_limit
from paddle_automl.training.callback import Callback
from paddle_automl.training.config import TrainingConfig
from paddle_automl.training.freezing import Freezer
from paddle_automl.training.loop import train
from paddle_automl.training.time_limit import FEWEST_STEPS, WARMUP_STEPS, TimeLimit


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(time_limit.time, "monotonic", lambda: now[0])
    return now


def steps(limit, clock, count, seconds):
    for _ in range(count):
        clock[0] += seconds
        limit.after_step()


def test_a_training_in_time_is_not_changed(clock):
    limit = TimeLimit(until=200.0)
    # The first steps take long.
    steps(limit, clock, WARMUP_STEPS, 5.0)
    assert limit.speed(1000.0, 1.0) == 1.0
    steps(limit, clock, FEWEST_STEPS + 1, 0.5)
    assert clock[0] == 125.5
    assert limit.speed(149.0, 1.0) == 1.0


def test_a_late_training_goes_faster_through_its_schedule(clock):
    limit = TimeLimit(until=200.0)
    steps(limit, clock, WARMUP_STEPS + FEWEST_STEPS + 1, 0.5)
    assert limit.speed(88.0 / 0.5, 1.0) == pytest.approx(1.0)
    assert limit.speed(2 * 88.0 / 0.5, 1.0) == pytest.approx(2.0)
    # Where no time is left one step covers the rest.
    clock[0] = 300.0
    assert limit.speed(50.0, 1.0) == 50.0


def test_a_short_disturbance_of_a_long_training_matters_little(clock):
    limit = TimeLimit(until=1100.0)
    steps(limit, clock, 300, 0.5)
    left = (1100.0 - clock[0]) / 0.5
    steps(limit, clock, 4, 2.0)
    assert 1.0 < limit.speed(left, 1.0) < 1.2


def evaluation(limit, clock, seconds):
    limit.before_evaluation()
    steps(limit, clock, 1, 0.5 + seconds)


def test_evaluations_have_their_time(clock):
    """A schedule that is twice as fast has half as many, but always the last one."""
    limit = TimeLimit(until=200.0, evaluation_s=8.0)
    steps(limit, clock, WARMUP_STEPS + FEWEST_STEPS + 1, 0.5)
    for _ in range(2):
        left = 200.0 - clock[0]
        assert limit.speed((left - 3 * 8.0) / 0.5, 2.5) == pytest.approx(1.0)
        assert limit.speed((2 * (left - 8.0) - 2 * 8.0) / 0.5, 2.5) == pytest.approx(2.0)
        evaluation(limit, clock, 8.0)


def test_one_slow_evaluation_does_not_end_a_training(clock):
    limit = TimeLimit(until=400.0, evaluation_s=1.0)
    steps(limit, clock, WARMUP_STEPS + FEWEST_STEPS + 1, 0.5)
    evaluation(limit, clock, 10.0)
    # 60 epochs of 6 steps: 240 s in all.
    assert limit.speed(360.0, 60.0) == 1.0
    evaluation(limit, clock, 10.0)
    assert 1.0 < limit.speed(350.0, 58.0) < 5.0


def test_frozen_and_cheap_epochs_follow_the_schedule(digits, make_model, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(Freezer, "begin", lambda self, epoch: seen.append(epoch))
    config = validate(TrainingConfig, {"epochs": 6, "batch_size": 128, "progressive": {"epochs": 5}})
    result = train(make_model(), digits, config, seed=0, folder=tmp_path, callbacks=[Hurry()])
    assert len(seen) == result.epochs_run < 6
    assert seen[:1] == [1]
    assert seen[-1] > len(seen)


class Hurry(Callback):
    """Runs twice as fast from its third step on."""

    count = 0

    def after_step(self):
        self.count += 1

    def speed(self, steps_left, epochs_left):
        del steps_left, epochs_left
        return 1.0 if self.count < 3 else 2.0


def test_the_schedule_ends_with_the_last_step(digits, make_model, tmp_path):
    recipe = {"epochs": 6, "batch_size": 128, "lr_schedule": "polynomial"}
    config = validate(TrainingConfig, {**recipe, "optimizer": {"name": "adamw", "learning_rate": 0.01}})
    hurry = Hurry()
    result = train(make_model(), digits, config, seed=0, folder=tmp_path, callbacks=[hurry])
    steps = config.steps(len(digits.train))
    # The fourth step and the later ones begin two places further each.
    assert hurry.count == 3 + math.ceil((6 * steps - 4) / 2)
    assert (result.epochs_run, result.stopped) == (math.ceil(hurry.count / steps), "")
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert len(lines) == result.epochs_run < 6
    rates = [line["learning_rate"] for line in lines]
    assert rates == sorted(rates, reverse=True)
    assert 0 < rates[-1] <= 2.1 * 0.01 / (6 * steps)
