"""Explanations of labels of which a network is very sure."""

from types import SimpleNamespace

import numpy as np
import pytest

from paddle_automl.cli.explaining import as_records, as_text
from paddle_automl.core.errors import UnsupportedError
from paddle_automl.deployment.explanation import explain, telling
from paddle_automl.deployment.prediction import Prediction
from paddle_automl.tasks.base import Answer, Final


class Words:
    """Items are tuples of numbers of words; each array row counts the words of an item."""

    word = "text"

    def __init__(self, words):
        self.words = words

    def counts(self, *items):
        return {"counts": np.array([[list(item).count(word) for word in range(self.words)] for item in items])}

    def batch(self, items):
        return self.counts(*(item.tolist() for item in items))

    def parts(self, arrays):
        used = np.flatnonzero(arrays["counts"][0]).tolist()
        return self.counts((), *([word] * arrays["counts"][0, word] for word in used)), tuple(map(str, used))

    def used_parts(self, ragged):
        every = range(self.words)
        return self.counts((), *((word,) for word in every)), tuple(map(str, every)), np.ones(self.words)


def predictor_of(table, after=lambda raw: raw, activation="sigmoid"):
    """A network in float32 that adds up the rows [words, K] of a table; `after` spoils the sum."""
    table, final = np.asarray(table, np.float32), Final(activation)

    def run(arrays):
        return SimpleNamespace(outputs=final(after(arrays["counts"].astype(np.float32) @ table - 1)))

    names = tuple("abcdef"[: table.shape[1]])
    return SimpleNamespace(input=Words(len(table)), task=SimpleNamespace(final=final), names=names, run=run)


class Items:
    ragged = None

    def __init__(self, *items):
        self.items = items

    def __len__(self):
        return len(self.items)

    def raw(self, rows):
        return [np.array(self.items[row], int) for row in rows]


TABLES = {
    9: [[6, 0.5], [4, -3]],
    16: [[9, 0.5], [8, -3]],
    20: [[10.5, 0.5], [10.5, -3]],
    30: [[10.5, 0.5], [10.5, -3], [10, 2]],
}


@pytest.mark.parametrize("total", TABLES)
def test_a_label_of_which_the_network_is_sure_is_a_sum_as_well(total):
    """In float32 the probability is 1 from log-odds of 16.6."""
    table = np.array(TABLES[total])
    found = explain(predictor_of(table), np.arange(len(table)))
    np.testing.assert_allclose(found.contributions, table, atol=0.01)
    np.testing.assert_allclose(found.total, table.sum(axis=0) - 1, atol=0.03)
    np.testing.assert_allclose(found.base + found.contributions.sum(axis=0), found.total, atol=0.03)


@pytest.mark.parametrize("activation", ["sigmoid", "identity"])
@pytest.mark.parametrize("second", [1, 3])
def test_a_network_that_is_no_sum_is_refused_also_where_it_is_sure(activation, second):
    squares = predictor_of([[3, 1], [second, 1]], after=np.square, activation=activation)
    with pytest.raises(UnsupportedError, match="the scores of this network are not the sum"):
        explain(squares, np.array([0, 1]))


SURE = [[25, 1], [-20, 1], [2, -1], [1, 1]]
"""What the first word says is not known: the probability of the first label is 1 with it alone."""


def test_a_part_of_which_the_network_is_too_sure_is_told_as_that():
    with pytest.raises(UnsupportedError, match="so sure of a part of this item that its probability is 1"):
        explain(predictor_of(SURE), np.array([0, 1]))
    assert explain(predictor_of(SURE), np.array([2, 3])).total == pytest.approx([2, -1], abs=1e-3)


def test_one_sure_item_does_not_cost_the_telling_parts_of_a_split():
    found = telling(predictor_of(SURE), Items((0, 1), (2, 3)), 2)
    assert list(found) == ["a", "b"]
    assert [name for name, _ in found["a"]] == ["0", "2"]
    assert [name for name, _ in found["b"]] == ["0", "1"]
    assert telling(predictor_of(SURE), Items((0, 1)), 2) is None


def test_an_item_with_one_part_proves_no_sum():
    squares = predictor_of([[3, 1], [3, 1]], after=np.square)
    assert telling(squares, Items((0,), (0, 1)), 2) is None


@pytest.mark.parametrize(
    ("labels", "told"), [(("a", "b", "c"), ["a", "b", "c"]), (("a",), ["a"]), ((), ["b"])], ids=str
)
def test_the_labels_that_are_explained_are_those_of_the_answer(labels, told):
    """The thresholds of labels need not be a half, of which the logarithm of the odds is 0."""
    predictor = predictor_of([[-0.5, 2, 0.25]])
    found = explain(predictor, np.array([0]))
    assert [score > 0 for score in found.total] == [False, True, False]
    item = Prediction("text", Answer(", ".join(labels), {}, labels=labels), name="text")
    [record] = as_records(predictor, [item], [found], 2)
    assert list(record["explanation"]) == told
    lines = as_text(predictor, [item], [found], 2).splitlines()
    assert [line.split(":")[0].strip() for line in lines[2::3]] == told


def test_numbers_are_explained_in_their_unit_and_the_ends_of_intervals_by_name():
    predictor = predictor_of([[3, 30, 2, 20, 4, 40]], activation="identity")
    predictor.names = ("low", "high")
    found = explain(predictor, np.array([0]))
    item = Prediction("text", Answer("2, 29", {}), name="text")
    heading, _, *lines = as_text(predictor, [item], [found], 2).splitlines()
    assert heading == "what spoke for and against (the numbers themselves)"
    told = ["low", "high", "low lower", "high lower", "low upper", "high upper"]
    assert [line.split(":")[0].strip() for line in lines[::3]] == told
    [record] = as_records(predictor, [item], [found], 2)
    assert list(record["explanation"]) == told


@pytest.mark.parametrize(
    ("table", "told", "unit"),
    [
        ([[1.0, -0.5], [0.25, 0.5]], [1.25, -1.25], "(logarithms of odds)"),
        ([[1.0, -0.5, 0.0], [0.25, 0.5, 0.0]], [1.25, -0.625, -0.625], "of odds against the geometric mean of the"),
    ],
)
def test_classes_are_explained_by_their_odds_against_the_others(table, told, unit):
    predictor = predictor_of(table, activation="softmax")
    found = explain(predictor, np.array([0, 1]))
    assert found.total == pytest.approx(told, abs=1e-5)
    probabilities = predictor.run(predictor.input.counts((0, 1))).outputs[0].astype(float)
    others = np.exp(np.log(probabilities[1:]).mean())
    assert found.total[0] == pytest.approx(np.log(probabilities[0] / others), abs=1e-5)
    assert unit in as_text(predictor, [Prediction("text", Answer("a", {}), name="text")], [found], 2)
