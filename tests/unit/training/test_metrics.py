import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as reference

from paddle_automl.training import metrics

LABELS = np.array([0, 0, 0, 1, 1, 2])
PREDICTED = np.array([0, 0, 1, 1, 0, 1])
CONFUSION = [[2, 1, 0], [1, 1, 0], [0, 1, 0]]


def test_by_hand():
    confusion = metrics.confusion_matrix(PREDICTED, LABELS, 3)
    assert confusion.tolist() == CONFUSION
    assert metrics.accuracy(confusion) == 0.5
    scores = metrics.per_class(confusion)
    assert scores.precision == pytest.approx([2 / 3, 1 / 3, 0])
    assert scores.recall == pytest.approx([2 / 3, 1 / 2, 0])
    assert scores.f1 == pytest.approx([2 / 3, 2 / 5, 0])
    assert scores.support.tolist() == [3, 2, 1]
    assert metrics.macro_f1(confusion) == pytest.approx((2 / 3 + 2 / 5) / 3)


def test_a_class_that_does_not_occur_does_not_lower_macro_f1():
    confusion = metrics.confusion_matrix(np.array([0, 1]), np.array([0, 1]), 4)
    assert metrics.macro_f1(confusion) == 1.0


def test_no_predictions():
    empty = np.zeros((3, 3), np.int64)
    assert metrics.accuracy(empty) == metrics.macro_f1(empty) == 0.0


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=40))
def test_agrees_with_scikit_learn(pairs):
    labels, predicted = np.array(pairs).T
    confusion = metrics.confusion_matrix(predicted, labels, 5)
    assert np.array_equal(confusion, reference.confusion_matrix(labels, predicted, labels=range(5)))
    assert metrics.accuracy(confusion) == pytest.approx(reference.accuracy_score(labels, predicted))
    expected = reference.f1_score(labels, predicted, average="macro", zero_division=0)
    assert metrics.macro_f1(confusion) == pytest.approx(expected)


def test_cross_entropy():
    probabilities = np.array([[0.5, 0.5], [0.25, 0.75], [1.0, 0.0]], np.float32)
    expected = (math.log(2) + math.log(4 / 3)) / 2
    assert metrics.cross_entropy(probabilities[:2], np.array([0, 1])) == pytest.approx(expected)
    assert 80 < metrics.cross_entropy(probabilities[2:], np.array([1])) < 90
    assert math.isnan(metrics.cross_entropy(np.full((1, 2), np.nan, np.float32), np.array([0])))


def test_worst_mistakes_come_first():
    probabilities = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.99, 0.01]], np.float32)
    worst = metrics.worst_mistakes(probabilities, np.array([1, 1, 1, 1]), 2)
    assert [mistake.index for mistake in worst] == [3, 0]
    assert worst[0].label == 1
    assert worst[0].predicted == 0
    assert worst[0].probability == pytest.approx(0.99)
    assert worst[0].label_probability == pytest.approx(0.01)
    assert metrics.worst_mistakes(probabilities, np.array([0, 0, 1, 0]), 5) == []
