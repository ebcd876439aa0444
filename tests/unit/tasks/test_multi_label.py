import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paddle_automl.core.errors import DataError
from paddle_automl.tasks.base import TASKS, TIE, RawTargets
from paddle_automl.tasks.thresholds import best_threshold

MULTI = TASKS["multi_label"]
CODES = np.array([[1, 0, 1], [0, 1, 1], [1, 1, 0], [0, 0, 0]], np.uint8)
NAMES = ("cat", "dog", "red")


def task(codes=CODES, names=NAMES, **options):
    return MULTI.fit(MULTI.Config(name="multi_label", **options), RawTargets("labels", codes, names))


def test_answers_name_the_labels_that_reach_their_thresholds():
    made = MULTI(MULTI.Fitted(name="multi_label", names=NAMES, thresholds=(0.5, 0.2, 0.9)))
    answer = made.answer(np.array([0.6, 0.3, 0.8], np.float32))
    assert answer.text == "cat, dog"
    assert answer.labels == ("cat", "dog")
    assert answer.score is None
    assert [name for name, _ in answer.ranked] == ["red", "cat", "dog"]
    assert made.answer(np.zeros(3, np.float32)).text == "none"
    assert made.truth(CODES[0]) == "cat, red"


def test_codes_of_classes_and_of_labels():
    made = task()
    assert made.encode(RawTargets("labels", CODES[:, :2], ("red", "cat"))).tolist() == [
        [0, 0, 1],
        [1, 0, 0],
        [1, 0, 1],
        [0, 0, 0],
    ]
    assert made.encode(RawTargets("classes", np.array([1, 0]), ("cat", "red"))).tolist() == [[0, 0, 1], [1, 0, 0]]
    with pytest.raises(DataError, match="Unknown to it: fox"):
        made.encode(RawTargets("labels", CODES[:, :1], ("fox",)))


def test_thresholds_are_tuned_on_validation_and_carried():
    made = task()
    outputs = np.array([[0.3, 0.4, 0.9], [0.1, 0.9, 0.8], [0.25, 0.7, 0.2], [0.2, 0.45, 0.1]], np.float32)
    tuned = made.tuned(outputs, CODES)
    assert made.fitted.thresholds == (0.5, 0.5, 0.5)
    assert np.array_equal(tuned.decided(outputs), CODES > 0)
    assert tuned.fitted.thresholds == (pytest.approx(0.225), 0.5, 0.5)
    assert tuned.tuned(outputs[:0], CODES[:0]) is tuned


def test_a_stated_threshold_is_not_tuned():
    made = task(threshold=0.3)
    assert made.tuned(np.full((4, 3), 0.1, np.float32), CODES) is made
    assert made.fitted.thresholds == (0.3, 0.3, 0.3)


def test_a_probability_at_its_threshold_is_a_tie():
    made = task()
    expected = np.array([[0.5 + TIE / 2, 0.1, 0.1], [0.6, 0.1, 0.1]], np.float32)
    got = np.array([[0.5 - TIE / 2, 0.1, 0.1], [0.4, 0.1, 0.1]], np.float32)
    assert made.agree(expected, got).tolist() == [True, False]


def test_tables_per_label():
    made = MULTI(MULTI.Fitted(name="multi_label", names=NAMES, thresholds=(0.5, 0.5, 0.25)))
    outputs = np.where(CODES > 0, 0.9, 0.1).astype(np.float32)
    outputs[3, 0] = 0.8
    found = made.evaluation(outputs, CODES)
    (table,) = found.tables
    assert table.columns == ("label", "precision", "recall", "F1", "threshold", "support")
    assert table.rows[0] == ("cat", pytest.approx(2 / 3), 1.0, pytest.approx(0.8), 0.5, 2)
    assert found.data["per_label"][2] == {
        "label": "red",
        "precision": 1.0,
        "recall": 1.0,
        "f1": 1.0,
        "threshold": 0.25,
        "support": 2,
    }


def test_the_worst_mistake_is_the_one_with_the_highest_loss():
    outputs = np.where(CODES > 0, 0.9, 0.1).astype(np.float32)
    outputs[1] = [0.99, 0.01, 0.9]
    outputs[3, 0] = 0.6
    worst = task().worst(outputs, CODES, 5)
    assert [item.index for item in worst] == [1, 3]
    assert (worst[0].truth, worst[0].answer) == ("dog, red", "cat, red")
    assert worst[0].detail["wrong_labels"] == 2


def test_bad_labels(caplog):
    with pytest.raises(DataError, match="the label 'dog' of item 1 is 3; labels are 0 or 1"):
        task(np.array([[0, 1], [1, 3]], np.uint8), ("cat", "dog"))
    with pytest.raises(DataError, match=r"each of the 2 labels \(cat, dog\) is the same for all 3 items"):
        task(np.array([[0, 1]] * 3, np.uint8), ("cat", "dog"))
    assert task(np.array([[0, 1], [1, 1]], np.uint8), ("cat", "dog")).names == ("cat", "dog")
    assert "1 labels are the same for all items and cannot be learned: 'dog'" in caplog.text


def test_fitted_needs_a_threshold_per_label():
    with pytest.raises(ValueError, match="1 thresholds for 2 labels"):
        MULTI.Fitted(name="multi_label", names=("a", "b"), thresholds=(0.5,))


scores = st.lists(st.tuples(st.integers(0, 100), st.integers(0, 1)), min_size=1, max_size=30)


def f1(labels, decided):
    return 2 * (decided & (labels > 0)).sum() / max(decided.sum() + labels.sum(), 1)


@settings(deadline=None)
@given(scores)
def test_no_threshold_is_better_than_the_chosen_one(pairs):
    probabilities = np.array([value / 100 for value, _ in pairs], np.float32)
    labels = np.array([label for _, label in pairs], np.uint8)
    threshold = best_threshold(probabilities, labels)
    assert 0 < threshold < 1
    if not 0 < labels.sum() < len(labels):
        assert threshold == 0.5
        return
    best = f1(labels, probabilities >= threshold)
    for other in np.arange(0.005, 1, 0.01):
        assert f1(labels, probabilities >= other) <= best + 1e-9


def test_a_threshold_without_a_choice_is_one_half():
    assert best_threshold(np.array([np.nan, 0.2]), np.array([0, 1])) == 0.5
    assert best_threshold(np.full(4, 1e-6), np.array([0, 1, 0, 1])) == 0.5
    assert best_threshold(np.array([0.9, 0.1]), np.array([1, 0])) == 0.5
