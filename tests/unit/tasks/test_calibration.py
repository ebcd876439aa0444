"""The temperature of probabilities."""

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from paddle_automl.tasks.calibration import (
    LEAST,
    LEAST_ITEMS,
    MOST,
    at_temperature,
    calibration_error,
    error_of,
    fit_offsets,
    fit_temperature,
    safe_temperature,
)
from paddle_automl.tasks.classification import cross_entropy
from paddle_automl.tasks.single_label import SingleLabel


def softmax(raw):
    raw = np.exp(raw - raw.max(axis=1, keepdims=True))
    return raw / raw.sum(axis=1, keepdims=True)


def drawn(count, temperature, seed=0, classes=5):
    """Outputs that are too sure by `temperature`, and classes drawn from the honest probabilities."""
    rng = np.random.default_rng(seed)
    raw = rng.normal(0, 2, (count, classes))
    honest = softmax(raw)
    codes = (honest.cumsum(axis=1) > rng.random((count, 1))).argmax(axis=1)
    return softmax(raw * temperature).astype(np.float32), codes


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_temperature_is_found(temperature):
    outputs, codes = drawn(4000, temperature)
    found = fit_temperature(outputs, codes)
    assert found == pytest.approx(temperature, rel=0.05)
    best = minimize_scalar(lambda t: cross_entropy(at_temperature(outputs, t), codes), bounds=(0.2, 6)).x
    assert found == pytest.approx(best, rel=0.01)


def test_errors_shrink():
    outputs, codes = drawn(4000, 3.0)
    calibrated = at_temperature(outputs, fit_temperature(outputs, codes))

    def error(values):
        best = values.argmax(axis=1)
        return calibration_error(values[np.arange(len(best)), best], best == codes, 15)

    assert error(outputs) > 0.1
    assert error(calibrated) < 0.03
    assert np.array_equal(calibrated.argmax(axis=1), outputs.argmax(axis=1))


def test_few_items_without_a_mistake():
    outputs = np.full((10, 3), 0.1, np.float32)
    codes = np.arange(10) % 3
    outputs[np.arange(10), codes] = 0.8
    found = fit_temperature(outputs, codes)
    assert LEAST < found < 1
    # As sure as Platt's (N + 1) / (N + 2) allows.
    assert at_temperature(outputs, found).max() == pytest.approx(11 / 12, abs=0.01)


def test_odd_outputs():
    assert fit_temperature(np.zeros((0, 3), np.float32), np.zeros(0, np.int64)) == 1
    assert fit_temperature(np.ones((4, 1), np.float32), np.zeros(4, np.int64)) == 1
    assert fit_temperature(np.full((2, 2), np.nan, np.float32), np.array([0, 1])) == 1
    certain = np.eye(3, dtype=np.float32)
    assert LEAST <= fit_temperature(certain, np.array([0, 1, 2])) <= MOST
    assert LEAST <= fit_temperature(certain, np.array([1, 2, 0])) <= MOST


def test_the_task_keeps_it():
    outputs, codes = drawn(2000, 2.0)
    task = SingleLabel(SingleLabel.Fitted(name="single_label", names=tuple("abcde")))
    once = task.calibrated(outputs, codes)
    assert once.final.temperature == pytest.approx(2, rel=0.1)
    # The outputs of a task at a temperature are calibrated already.
    again = once.calibrated(at_temperature(outputs, once.final.temperature).astype(np.float32), codes)
    assert again.final.temperature == pytest.approx(once.final.temperature, rel=1e-3)
    raw = np.log(outputs)
    assert np.allclose(once.final(raw), at_temperature(outputs, once.final.temperature), atol=1e-6)
    off = SingleLabel(task.fitted.model_copy(update={"calibrate": False}))
    assert off.calibrated(outputs, codes).final.temperature == 1


@pytest.mark.parametrize("count", [9, 30, 99])
def test_widened_intervals_hold_the_fraction_of_new_items(count):
    """Romano et al. 2019, theorem 1: between 0.8 and 0.8 + 1 / (N + 1) on average over the draws."""
    rng = np.random.default_rng(count)
    held = []
    for _ in range(400):
        old, new = rng.normal(size=(count, 2)), rng.normal(size=(200, 2))
        # One interval that is far too narrow, and one that is too wide.
        ends = np.array([0.1, 4.0])
        low, high = np.tile(-ends, (count, 1)), np.tile(ends, (count, 1))
        offset = fit_offsets(low, 0 * low, high, old, 0.8)
        held.append((np.abs(new) <= ends + offset).mean(axis=0))
    mean = np.mean(held, axis=0)
    assert (mean > 0.79).all()
    assert (mean < 0.8 + 1 / (count + 1) + 0.01).all()


def test_offsets_of_few_or_odd_items():
    low, high = np.zeros((2, 1)), np.ones((2, 1))
    half, codes = high / 2, np.array([[0.5], [3.0]])
    assert fit_offsets(low[:0], half[:0], high[:0], np.zeros((0, 1)), 0.9).tolist() == [0]
    assert fit_offsets(low, half, high, codes, 0.9).tolist() == [2]
    assert fit_offsets(low * np.nan, half, high, codes, 0.9).tolist() == [0]
    # What lies between the predicted number and the interval is in it without an offset.
    many = (np.repeat(values, 10, axis=0) for values in (low + 5, half, high + 5, np.array([[4.0], [3.0]])))
    assert fit_offsets(*many, 0.9).tolist() == [-2]


@pytest.mark.parametrize("count", [1, 3, 8])
def test_too_few_items_for_the_fraction_do_not_narrow_an_interval(count):
    """The 0.95-quantile of so few is unknown: one item in the middle of its interval would leave no width."""
    rng = np.random.default_rng(count)
    low, high = np.full((count, 2), -2.0), np.full((count, 2), 2.0)
    codes = rng.uniform(-1, 1, (count, 2))
    assert fit_offsets(low, 0 * low, high, codes, 0.9).tolist() == [0, 0]
    codes[0, 1] = 3.0
    assert fit_offsets(low, 0 * low, high, codes, 0.9).tolist() == [0, 1]


def test_few_items_say_too_little_about_a_temperature():
    outputs, codes = drawn(LEAST_ITEMS, 3.0)
    task = SingleLabel(SingleLabel.Fitted(name="single_label", names=tuple("abcde")))
    assert task.calibrated(outputs[1:], codes[1:]).final.temperature == 1
    assert task.calibrated(outputs, codes).final.temperature > 1.5


@pytest.mark.parametrize("seed", range(20))
def test_no_temperature_makes_its_own_items_worse(seed):
    """Among honest probabilities about half of the fitted temperatures would."""
    outputs, codes = drawn(60, 1.0, seed)
    scaled = at_temperature(outputs, safe_temperature(outputs, codes))
    assert error_of(scaled, codes) <= error_of(outputs, codes) + 1e-6
    assert cross_entropy(scaled, codes) <= cross_entropy(outputs, codes) + 1e-6
