"""Epochs that fit into a time."""

import time
from dataclasses import replace

import numpy as np
import pytest

from paddle_automl.core.errors import TimeUpError
from paddle_automl.core.loading import validate
from paddle_automl.training import fitting
from paddle_automl.training.callback import Callback
from paddle_automl.training.config import TrainingConfig
from paddle_automl.training.fitting import FEW_EPOCHS, MARGIN, Pace, fit_epochs, measure_pace, with_epochs
from paddle_automl.training.learner import Learner
from paddle_automl.training.loop import train
from paddle_automl.training.recalibration import Recalibration

ITEMS = 1000
PACE = Pace(step_s=0.1, evaluation_s=0.5)  # 10 steps and 1.5 s an epoch with batches of 100


def config(**options):
    return validate(TrainingConfig, {"epochs": 20, "batch_size": 100, **options})


def fitted(seconds, **options):
    return fit_epochs(config(**options), PACE, ITEMS, seconds * MARGIN)


def test_a_training_that_fits_is_left_as_it_is():
    recipe = config()
    assert fit_epochs(recipe, PACE, ITEMS, 30.1 * MARGIN) is recipe


def test_whole_epochs_are_dropped_and_warm_up_shrinks_with_them():
    found = fitted(15.2, lr_schedule={"name": "cosine", "warmup_epochs": 4})
    assert (found.epochs, found.steps_per_epoch) == (10, None)
    assert found.lr_schedule.warmup_epochs == 2


def test_few_epochs_are_made_of_fewer_steps():
    found = fitted(2.9)
    assert (found.epochs, found.steps_per_epoch) == (2, 9)
    assert PACE.seconds(found, ITEMS) <= 2.9
    assert fitted(1.0).epochs == 1
    assert fitted(1.0).steps_per_epoch == 5
    assert fitted(FEW_EPOCHS * 1.5 + 0.1).steps_per_epoch is None


def test_another_epoch_is_not_begun_where_its_evaluation_takes_more_than_it_brings():
    found = fitted(3.1)
    assert (found.epochs, found.steps_per_epoch) == (2, None)
    found = fitted(4.4)
    assert (found.epochs, found.steps_per_epoch) == (3, 9)


def test_cheap_epochs_shrink_too():
    cheap = {"epochs": 8, "data_fraction": 0.5}
    found = fitted(9.1, progressive=cheap)
    assert found.progressive.epochs < found.epochs < 20
    assert PACE.seconds(found, ITEMS) <= 9.1
    assert with_epochs(config(progressive=cheap), 3).progressive.epochs == 2


def test_a_training_of_other_epochs_keeps_the_warm_up_that_ends_in_them():
    """The same training with fewer epochs has a shorter one; a longer training has no longer one."""
    recipe = config(lr_schedule={"name": "cosine", "warmup_epochs": 4}, progressive={"epochs": 8})
    assert [recipe.of_epochs(epochs).lr_schedule.warmup_epochs for epochs in (4, 5, 40)] == [0, 4, 4]
    assert with_epochs(recipe, 10).lr_schedule.warmup_epochs == 2
    assert recipe.of_epochs(40).progressive.epochs == 0
    assert recipe.of_epochs(40, recipe.progressive.fitting(40)).progressive.epochs == 8
    assert recipe.of_epochs(40).epochs == 40


def test_the_mean_over_the_last_epochs_is_that_of_as_large_a_part_of_fewer():
    """It would contain the weights of the first epochs otherwise."""
    recipe = config(average_epochs=8)
    for change in (with_epochs, TrainingConfig.of_epochs):
        assert [change(recipe, epochs).average_epochs for epochs in (1, 5, 10, 20)] == [2, 2, 4, 8]
    assert recipe.of_epochs(40).average_epochs == 8
    assert fitted(15.2, average_epochs=8).average_epochs == 4
    assert (with_epochs(config(), 5).average_epochs, config().of_epochs(5).average_epochs) == (None, None)


def test_too_little_time_for_one_step():
    with pytest.raises(
        TimeUpError, match=r"0\.5 s are too short for one step of 0\.1 s and an evaluation of 0\.5 s"
    ):
        fit_epochs(config(), PACE, ITEMS, 0.5)
    with pytest.raises(TimeUpError, match=r"^0\.0 s are too short"):
        fit_epochs(config(), PACE, ITEMS, -3)


def test_an_epoch_of_some_steps_uses_that_many_items():
    recipe = config(steps_per_epoch=3)
    assert recipe.epoch(ITEMS) == (300, 1, 3)
    assert recipe.epoch(150) == (150, 1, 1)
    assert config().epoch(ITEMS) == (ITEMS, 1, 10)


def test_measuring_changes_no_weights_and_no_training(digits, make_model):
    recipe = validate(TrainingConfig, {"epochs": 2, "batch_size": 32, "steps_per_epoch": 4, "ema": {"decay": 0.9}})
    seen = []
    for measured in (False, True):
        model = make_model()
        before = {name: tensor.numpy().copy() for name, tensor in model.state_dict().items()}
        if measured:
            pace = measure_pace(model, digits, recipe)
            assert pace.step_s > 0
            assert pace.evaluation_s > 0
            for name, tensor in model.state_dict().items():
                np.testing.assert_array_equal(before[name], tensor.numpy(), err_msg=name)
        result = train(model, digits, recipe, seed=3, folder=None)
        assert result.epochs_run == 2
        seen.append({name: tensor.numpy() for name, tensor in model.state_dict().items()})
    for name in seen[0]:
        np.testing.assert_array_equal(seen[0][name], seen[1][name], err_msg=name)


def test_the_first_batch_of_an_evaluation_does_not_stand_for_all(digits, make_model, monkeypatch):
    calls = []

    def slow_at_first(model, split, size):
        if not calls:
            time.sleep(0.3)
        calls.append(len(split))

    monkeypatch.setattr(fitting, "predict", slow_at_first)
    pace = measure_pace(make_model(), digits, validate(TrainingConfig, {"batch_size": 32, "eval_batch_size": 16}))
    assert calls == [16, 16]
    assert pace.evaluation_s < 0.3


def test_statistics_and_a_soup_take_time_too(digits, make_model, monkeypatch):
    """Statistics before each evaluation, a soup of up to so many networks after the last epoch."""
    plain = Recalibration.__call__

    def slow(self, model):
        plain(self, model)
        time.sleep(0.05)

    monkeypatch.setattr(Recalibration, "__call__", slow)

    def paced(**options):
        return measure_pace(make_model(), digits, validate(TrainingConfig, {"batch_size": 32, **options}))

    assert paced(recalibrate=2).evaluation_s >= 0.05
    assert paced().member_s == 0
    pace = paced(soup=4)
    assert pace.evaluation_s < 0.05 <= pace.member_s


def test_a_soup_is_left_its_time():
    pace = replace(PACE, member_s=1.0)
    recipe = config(soup=5)
    assert pace.seconds(recipe, ITEMS) == PACE.seconds(recipe, ITEMS) + 4
    assert pace.seconds(with_epochs(recipe, 3), ITEMS) == PACE.seconds(with_epochs(recipe, 3), ITEMS) + 2
    whole = fit_epochs(recipe, pace, ITEMS, 19.1 * MARGIN)
    assert (whole.epochs, whole.steps_per_epoch) == (10, None)
    few = fit_epochs(recipe, pace, ITEMS, 4.1 * MARGIN)
    assert (few.epochs, few.steps_per_epoch) == (2, None)
    short = fit_epochs(recipe, pace, ITEMS, 2.6 * MARGIN)
    assert (short.epochs, short.steps_per_epoch) == (1, None)
    assert max(pace.seconds(few, ITEMS) - 4.1, pace.seconds(short, ITEMS) - 2.6) < 0


def test_the_schedule_ends_with_the_last_step(digits, make_model):
    recipe = validate(TrainingConfig, {"epochs": 2, "batch_size": 32, "steps_per_epoch": 4})
    assert Learner.on(make_model(), digits, recipe).schedule.steps == 8


@pytest.mark.parametrize(
    ("items", "batch", "passes", "steps"),
    [(100_000, 128, 1, 781), (5_000, 39, 1, 128), (1_000, 16, 2, 124), (100, 16, 21, 126), (5, 16, 128, 128)],
)
def test_few_items_get_smaller_batches_and_several_passes(items, batch, passes, steps):
    recipe = validate(TrainingConfig, {"epochs": 4, "batch_size": 128, "least_steps": 128})
    assert recipe.steps(items) == steps
    recipe = recipe.for_items(items)
    assert recipe.batch_size == batch
    assert recipe.epoch(items) == (items, passes, steps)
    assert recipe.for_items(items) == recipe
    assert with_epochs(recipe, 2, 100).steps(items) == 100
    assert with_epochs(recipe, 2, 1000).steps(items) == steps


def test_the_batches_of_epochs_with_less_data_are_those_of_all_data():
    progressive = {"epochs": 1, "data_fraction": 0.5}
    recipe = validate(
        TrainingConfig, {"epochs": 3, "batch_size": 128, "least_steps": 128, "progressive": progressive}
    ).for_items(8_000)
    assert recipe.batch_size == 62
    assert recipe.epoch(8_000, 1) == (4_000, 1, 64)


def test_an_epoch_of_several_passes_has_their_steps(digits, make_model):
    found = []

    class Steps(Callback):
        def after_step(self):
            found.append(1)

    few = replace(digits, train=digits.train.with_indices(digits.train.indices[:40]))
    recipe = validate(TrainingConfig, {"epochs": 2, "batch_size": 32, "least_steps": 6})
    assert Learner.on(make_model(), few, recipe).schedule.steps == 12
    for tried, steps in ((recipe, 12), (with_epochs(recipe, 2, 5), 10), (with_epochs(recipe, 1, 1), 1)):
        found.clear()
        train(make_model(), few, tried, seed=0, folder=None, callbacks=[Steps()])
        assert len(found) == steps


def test_everything_follows_the_smaller_batches(digits, make_model):
    """Among other things the units of the learning rate and the batches for statistics."""
    few = replace(digits, train=digits.train.with_indices(digits.train.indices[:40]))
    recipe = {
        "epochs": 2,
        "least_steps": 2,
        "recalibrate": 2,
        "optimizer": {"name": "momentum", "learning_rate": 20, "units": "decoupled"},
    }
    found = []
    for size in (20, 64):
        model = make_model()
        train(model, few, validate(TrainingConfig, {**recipe, "batch_size": size}), seed=0, folder=None)
        found.append([tensor.numpy() for tensor in model.state_dict().values()])
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)


def test_timing_a_training_of_few_steps_does_not_leave_its_schedule(digits, make_model):
    """A fractional power of a negative number is complex."""
    schedule = {"name": "polynomial", "power": 0.9}
    recipe = config(epochs=1, batch_size=128, steps_per_epoch=2, lr_schedule=schedule)
    assert measure_pace(make_model(), digits, recipe).step_s > 0
