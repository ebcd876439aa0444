"""The figures that a report computes itself."""

from itertools import product

import numpy as np
import pytest

from paddle_automl.reporting.intervals import interval
from paddle_automl.reporting.random_search import best_of, expectation_of
from paddle_automl.reporting.reliability import reliability
from paddle_automl.space import SearchSpace
from paddle_automl.tasks.base import RawTargets
from paddle_automl.tasks.multi_label import MultiLabel
from paddle_automl.tasks.single_label import SingleLabel

SPACE = SearchSpace.parse({"a.x": {"float": [0.0, 1.0]}, "a.y": {"float": [0.0, 1.0]}})


def test_the_best_of_some_draws_is_that_of_all_combinations():
    costs = np.array([3.0, 1.0, 7.0, 2.0])
    mean, low, high = best_of(costs, 3)
    for count in (1, 2, 3):
        every = sorted(min(draw) for draw in product(costs, repeat=count))
        assert mean[count - 1] == pytest.approx(np.mean(every))
        assert low[count - 1] == np.quantile(every, 0.1, method="inverted_cdf")
        assert high[count - 1] == np.quantile(every, 0.9, method="inverted_cdf")


def test_the_model_of_the_trials_gives_what_random_search_would():
    rng = np.random.default_rng(0)
    # Trials of a search that has gathered near the optimum.
    params = [SPACE.sample(rng) for _ in range(30)]
    params += [{"a.x": float(rng.uniform(0.4, 0.6)), "a.y": float(rng.uniform())} for _ in range(40)]
    costs = [(item["a.x"] - 0.5) ** 2 for item in params]
    found = expectation_of(SPACE, params, costs, 10, random=False)
    x = np.random.default_rng(1).uniform(0, 1, (20_000, 10))
    truth = [((x[:, :count] - 0.5) ** 2).min(axis=1).mean() for count in (1, 5)]
    assert found.explained > 0.6
    assert found.mean[0] == pytest.approx(truth[0], rel=0.3)
    assert found.mean[4] == pytest.approx(truth[1], rel=0.5)


def test_random_trials_need_no_model_and_few_trials_have_no_estimate():
    rng = np.random.default_rng(0)
    params = [SPACE.sample(rng) for _ in range(12)]
    costs = list(range(12))
    found = expectation_of(SPACE, params, costs, 4, random=True)
    assert found.explained is None
    assert found.mean[0] == pytest.approx(5.5)
    assert expectation_of(SPACE, params[:9], costs[:9], 4, random=True) is None


@pytest.mark.parametrize(
    ("fraction", "count", "low", "high"),
    [(0.0, 10, 0.0, 0.2775), (0.5, 10, 0.2366, 0.7634), (1.0, 100, 0.9630, 1.0)],
)
def test_intervals_are_those_of_wilson(fraction, count, low, high):
    assert interval(fraction, count) == pytest.approx((low, high), abs=2e-4)


def test_reliability_compares_probability_and_frequency():
    task = SingleLabel.fit(SingleLabel.Config(name="single_label"), RawTargets("classes", np.arange(2), ("a", "b")))
    outputs = np.array([[0.9, 0.1]] * 10 + [[0.4, 0.6]] * 5, np.float32)
    codes = np.array([0] * 9 + [1] + [1, 1, 1, 0, 0])
    found = reliability(task, outputs, codes)
    assert [(g["count"], g["frequency"]) for g in found["groups"]] == [(5, 0.6), (10, 0.9)]
    assert found["error"] == pytest.approx(0, abs=1e-6)
    assert found["of"] == "answers"


def test_labels_count_one_by_one_and_numbers_have_no_probabilities():
    raw = RawTargets("labels", np.array([[1, 0], [0, 1], [1, 1]], np.uint8), ("a", "b"))
    task = MultiLabel.fit(MultiLabel.Config(name="multi_label"), raw)
    found = reliability(task, np.array([[0.9, 0.2], [0.1, 0.8], [0.9, 0.8]], np.float32), raw.values)
    assert found["predictions"] == 6
    assert found["of"] == "labels"
    assert reliability(object(), np.zeros((3, 1), np.float32), np.zeros(3)) is None
