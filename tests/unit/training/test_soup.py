import numpy as np
import paddle
import pytest

from paddle_automl.core.loading import validate
from paddle_automl.training.config import TrainingConfig
from paddle_automl.training.evaluation import evaluate, predict
from paddle_automl.training.loop import Keep, train
from paddle_automl.training.soup import Soup


def weights(value, count=1):
    return {"weight": paddle.to_tensor([float(value)]), "count": paddle.to_tensor([count], dtype="int64")}


def stirred(soup, wanted):
    """Stir where a weight of `wanted` is best; return the mean's weight and its members."""

    def measured(found):
        value = float(found["weight"])
        return -abs(value - wanted), (value, int(found["count"]))

    return soup.stir(measured)


def soup_of(values, wanted, most=5):
    soup = Soup(most)
    for number, value in enumerate(values, start=1):
        soup.offer(-abs(value - wanted), number, lambda value=value: weights(value, count=int(value)))
    return soup


def test_the_best_are_averaged_as_long_as_the_mean_gets_no_worse():
    # From the best on: 4; 4 and 1 are 2.5, better; with 8 they would be 4.33.
    assert stirred(soup_of([1.0, 4.0, 8.0], wanted=3.0), 3.0) == ((2.5, 4), [2, 1])


def test_a_mean_that_is_only_as_good_as_the_best_is_not_kept():
    assert stirred(soup_of([4.0, 4.0], wanted=3.0), 3.0) is None
    assert stirred(soup_of([3.0, 9.0], wanted=3.0), 3.0) is None
    assert stirred(soup_of([2.0], wanted=3.0), 3.0) is None


def test_only_the_best_are_kept_and_of_equal_ones_the_later():
    soup = soup_of([10.0, 2.0, 9.0, 4.0], wanted=3.0, most=2)
    assert stirred(soup, 3.0) == ((3.0, 4), [4, 2])


def test_weights_that_are_not_among_the_best_are_not_copied():
    soup, copied = Soup(2), []
    for number, merit in enumerate([0.5, 0.9, 0.7, 0.1, 0.8], start=1):
        soup.offer(merit, number, lambda number=number: copied.append(number) or weights(number))
    assert copied == [1, 2, 3, 5]


@pytest.fixture
def trained(digits, make_model, tmp_path):
    def run(folder="trial", **options):
        model, keep = make_model(), options.pop("keep", None)
        # A high constant rate, so that epochs differ and their mean is better.
        recipe = {"epochs": 8, "batch_size": 25, "lr_schedule": "constant", "optimizer": {"learning_rate": 0.2}}
        config = validate(TrainingConfig, {**recipe, "soup": 5, **options})
        return model, train(model, digits, config, seed=3, folder=tmp_path / folder, keep=keep)

    return run


def test_a_training_ends_with_a_mean_that_is_better_on_validation(trained, digits, caplog):
    caplog.set_level("INFO")
    plain, alone = trained(soup=None)
    model, result = trained()
    assert "a soup of the epochs" in caplog.text
    assert result.metrics["accuracy"] > alone.metrics["accuracy"]
    found = evaluate(model, digits.validation, ("accuracy", "loss"), 80)
    assert found["accuracy"] == result.metrics["accuracy"]
    assert found["loss"] == pytest.approx(result.metrics["loss"], rel=1e-4)
    outputs = [predict(item, digits.validation, 80) for item in (plain, model)]
    assert not np.allclose(*outputs)


def test_equal_seeds_make_equal_soups_and_the_file_holds_them(trained, tmp_path):
    first, second = (trained(name)[0].state_dict() for name in ("a", "b"))
    assert all(np.array_equal(first[name].numpy(), second[name].numpy()) for name in first)
    saved = paddle.load(str(tmp_path / "a" / "best.pdparams"))
    assert all(np.array_equal(saved[name].numpy(), first[name].numpy()) for name in first)


def test_a_training_whose_last_epoch_counts_has_none(trained):
    plain, soup = (trained(soup=most, keep=Keep("last"))[0].state_dict() for most in (None, 5))
    assert all(np.array_equal(plain[name].numpy(), soup[name].numpy()) for name in plain)
