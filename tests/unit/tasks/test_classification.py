import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from paddle_automl.core.errors import ConfigError, DataError
from paddle_automl.tasks import classification as c
from paddle_automl.tasks.base import TASKS, RawTargets
from paddle_automl.tasks.confusion import confusions, most_confused

LABELS = np.array([0, 0, 0, 1, 1, 2])
PREDICTED = np.array([0, 0, 1, 1, 0, 1])
CONFUSION = [[2, 1, 0], [1, 1, 0], [0, 1, 0]]


def single_label(names=("a", "b", "c")):
    cls = TASKS["single_label"]
    return cls(cls.Fitted(name="single_label", names=names))


def one_hot(classes, count=3):
    return np.eye(count, dtype=np.float32)[np.asarray(classes)]


def test_by_hand():
    confusion = c.confusion_matrix(PREDICTED, LABELS, 3)
    assert confusion.tolist() == CONFUSION
    assert c.accuracy(confusion) == 0.5
    counts = c.counts_between(PREDICTED, LABELS, 3)
    scores = c.per_class(counts)
    assert scores.precision == pytest.approx([2 / 3, 1 / 3, 0])
    assert scores.recall == pytest.approx([2 / 3, 1 / 2, 0])
    assert scores.f1 == pytest.approx([2 / 3, 2 / 5, 0])
    assert scores.support.tolist() == [3, 2, 1]
    assert c.macro_f1(counts) == pytest.approx((2 / 3 + 2 / 5) / 3)


def test_a_class_that_does_not_occur_does_not_lower_macro_f1():
    counts = c.counts_between(np.array([0, 1]), np.array([0, 1]), 4)
    assert c.macro_f1(counts) == 1.0


def test_no_predictions():
    none = np.zeros(0, np.int64)
    assert c.accuracy(np.zeros((3, 3), np.int64)) == c.macro_f1(c.counts_between(none, none, 3)) == 0.0


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=40))
def test_agrees_with_scikit_learn(pairs):
    labels, predicted = np.array(pairs).T
    confusion = c.confusion_matrix(predicted, labels, 5)
    assert np.array_equal(confusion, reference.confusion_matrix(labels, predicted, labels=range(5)))
    assert c.accuracy(confusion) == pytest.approx(reference.accuracy_score(labels, predicted))
    counts = c.counts_between(predicted, labels, 5)
    expected = reference.f1_score(labels, predicted, average="macro", zero_division=0)
    assert c.macro_f1(counts) == pytest.approx(expected)
    expected = reference.fbeta_score(labels, predicted, beta=2, average="macro", zero_division=0)
    assert c.mean_of_present(c.f_beta(counts, 2.0), counts) == pytest.approx(expected)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=40))
def test_both_ways_of_counting_agree(pairs):
    labels, predicted = np.array(pairs).T
    task = single_label(("a", "b", "c", "d", "e"))
    outputs = one_hot(predicted, 5)
    by_matrix, by_name = task.counts(outputs, labels), c.NamedTask.counts(task, outputs, labels)
    for left, right in zip(vars(by_matrix).values(), vars(by_name).values(), strict=True):
        assert np.array_equal(left, right)


def test_cross_entropy():
    probabilities = np.array([[0.5, 0.5], [0.25, 0.75], [1.0, 0.0]], np.float32)
    expected = (math.log(2) + math.log(4 / 3)) / 2
    assert c.cross_entropy(probabilities[:2], np.array([0, 1])) == pytest.approx(expected)
    assert 80 < c.cross_entropy(probabilities[2:], np.array([1])) < 90
    assert math.isnan(c.cross_entropy(np.full((1, 2), np.nan, np.float32), np.array([0])))


def test_binary_cross_entropy():
    probabilities = np.array([[0.5, 0.2], [1.0, 0.0]], np.float32)
    found = c.binary_cross_entropy(probabilities, np.array([[1, 0], [1, 0]]))
    assert found == pytest.approx(np.array([[math.log(2), -math.log(0.8)], [0, 0]]), abs=1e-6)
    wrong = c.binary_cross_entropy(probabilities[1:], np.array([[0, 1]]))
    assert np.isfinite(wrong).all()
    assert (wrong > 15).all()
    assert np.isnan(c.binary_cross_entropy(np.full((1, 1), np.nan, np.float32), np.array([[0]]))).all()


def test_worst_mistakes_come_first():
    outputs = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.99, 0.01]], np.float32)
    task = single_label(("a", "b"))
    worst = task.worst(outputs, np.array([1, 1, 1, 1]), 2)
    assert [mistake.index for mistake in worst] == [3, 0]
    assert worst[0].as_dict("x.png") == {
        "index": 3,
        "file": "x.png",
        "label": "b",
        "predicted": "a",
        "probability": 0.99,
        "label_probability": 0.01,
    }
    assert task.worst(outputs, np.array([0, 0, 1, 0]), 5) == []
    table = task.mistakes(worst, ["x.png", "number 0"], "image")
    assert table.columns == ("image", "is", "with probability", "predicted", "with probability")
    assert table.rows[0] == ("x.png", "b", pytest.approx(0.01), "a", pytest.approx(0.99))


def test_an_evaluation_has_figures_per_class_and_the_confusion_matrix():
    found = single_label().evaluation(one_hot(PREDICTED), LABELS)
    per_class, matrix = found.tables
    assert per_class.columns == ("class", "precision", "recall", "F1", "support")
    assert per_class.rows[1] == ("b", pytest.approx(1 / 3), 0.5, pytest.approx(2 / 5), 2)
    assert matrix.columns == ("true \\ predicted", "a", "b", "c")
    assert matrix.rows == (("a", 2, 1, None), ("b", 1, 1, None), ("c", None, 1, None))
    assert found.data["confusion_matrix"] == CONFUSION
    assert found.data["class_names"] == ["a", "b", "c"]
    assert found.data["per_class"][0] == {
        "class": "a",
        "precision": 0.666667,
        "recall": 0.666667,
        "f1": 0.666667,
        "support": 3,
    }


def test_many_classes_show_the_worst_of_them():
    names = tuple(f"class {i}" for i in range(40))
    truth = np.repeat(np.arange(40), 3)
    predicted = truth.copy()
    predicted[[9, 10, 11]] = 5  # class 3, always taken for 5
    predicted[60] = 7  # one item of class 20
    found = single_label(names).evaluation(one_hot(predicted, 40), truth)
    worst, confused = found.tables
    assert worst.title == "the 20 worst of 40 classes, by F1"
    assert len(worst.rows) == 20
    assert worst.rows[0][0] == "class 3"
    assert confused.rows == (("class 3", "class 5", 3, 1.0), ("class 20", "class 7", 1, pytest.approx(1 / 3)))
    assert len(found.data["per_class"]) == len(found.data["confusion_matrix"]) == 40


def test_no_confusion_no_rows():
    right = np.array([0, 0, 0, 1, 1])
    assert most_confused(("a", "b"), confusions(right, right, 2), np.array([3, 2])).rows == ()


def test_very_many_classes_need_no_square_of_them():
    count = 100_000  # a square of them has 40 GB in float32
    task = single_label(tuple(f"class {i}" for i in range(count)))
    codes, predicted = np.array([7, 7, 7, count - 1, 3]), np.array([7, 9, 9, 3, 3])
    dense = task.dense(codes)
    assert (dense.argmax(axis=1) == codes).all()
    assert (dense.sum(axis=1) == 1).all()
    outputs = task.dense(predicted)
    counts = task.counts(outputs, codes)
    assert [int(values.sum()) for values in (counts.hits, counts.predicted, counts.support)] == [2, 5, 5]
    assert (counts.hits[7], counts.predicted[9], counts.support[count - 1]) == (1, 2, 1)
    found = task.evaluation(outputs, codes)
    assert found.data["confusions"] == [
        {"true": "class 7", "predicted": "class 9", "items": 2},
        {"true": "class 99999", "predicted": "class 3", "items": 1},
    ]
    assert "confusion_matrix" not in found.data
    assert found.tables[1].rows[0] == ("class 7", "class 9", 2, pytest.approx(2 / 3))


def test_a_tie_agrees_and_another_class_does_not():
    task = single_label(("a", "b"))
    expected = np.array([[0.500005, 0.499995], [0.6, 0.4], [0.6, 0.4]], np.float32)
    got = np.array([[0.499995, 0.500005], [0.4, 0.6], [0.51, 0.49]], np.float32)
    assert task.agree(expected, got).tolist() == [True, False, True]


def test_one_class_is_refused():
    for name in ("single_label", "multi_label"):
        cls = TASKS[name]
        with pytest.raises(DataError, match=r"at least 2 classes, found 1 \('cat'\); give items of another class"):
            cls.fit(cls.Config(name=name), RawTargets("classes", np.zeros(3, np.int64), ("cat",)))


def test_targets_that_contradict_the_task_are_refused():
    numbers = RawTargets("numbers", np.zeros((3, 1)), ("ink",))
    cls = TASKS["single_label"]
    with pytest.raises(
        ConfigError, match=r"single_label needs classes .* have numbers \(ink\); use task: regression"
    ):
        cls.fit(cls.Config(name="single_label"), numbers)


def test_classes_are_matched_by_name():
    task = single_label()
    raw = RawTargets("classes", np.array([0, 1, 1]), ("c", "a"))
    assert task.encode(raw).tolist() == [2, 0, 0]
    with pytest.raises(DataError, match=r"the model knows a, b, c. Unknown to it: d"):
        task.encode(RawTargets("classes", np.array([0]), ("d",)))
