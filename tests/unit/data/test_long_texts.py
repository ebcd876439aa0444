"""One long text among short ones takes no memory for all of its batch."""

import numpy as np
import pytest

from paddle_automl.data.splits import Everything, Split
from paddle_automl.data.stores import ArrayStore
from paddle_automl.inputs import batching
from paddle_automl.inputs.base import INPUTS
from paddle_automl.inputs.batching import divided, too_large
from paddle_automl.inputs.text import input as text_input
from paddle_automl.tasks.base import TASKS, RawTargets


def split_of(texts, **options):
    items, classes = np.array(texts, dtype=object), np.arange(len(texts)) % 2
    kind = INPUTS["text"]
    config = kind.Config.model_validate({"name": "text", "ngrams": ["words 1"], **options})
    given = kind.fit(config, None, kind.measure(config, None, [items]))
    raw = RawTargets("classes", classes, ("a", "b"))
    task = TASKS["single_label"].fit(TASKS["single_label"].Config(name="single_label"), raw)
    encoded = given.encode(items)
    return Split(Everything(ArrayStore(items), raw, task.encode(raw), given, task, encoded=encoded), classes * 0)


@pytest.fixture
def split():
    """Ten texts of two words, and a long one of 200; the tokens of a text are four at most."""
    texts = [*(f"w{number} w{number + 1}" for number in range(10)), " ".join(f"w{number}" for number in range(200))]
    found = split_of(texts, max_length=4, tokens={"kind": "words", "min_count": 1})
    return found.with_indices(np.arange(11))


def test_a_batch_with_a_long_text_is_divided_in_order(split, monkeypatch):
    whole = [batch.rows.tolist() for batch in split.batches(8)]
    assert [len(rows) for rows in whole] == [8, 3]
    monkeypatch.setattr(batching, "MOST_NUMBERS", 60)
    found = [batch.rows.tolist() for batch in split.batches(8)]
    assert found == [whole[0], [8, 9], [10]]
    assert [batch.rows.tolist() for batch in split.batches(8, by_length=True)] == found


def test_batches_are_divided_by_their_padded_numbers():
    lengths = np.array([[1, 5, 1, 1], [1, 1, 1, 9]])
    assert [part.tolist() for part in divided([np.arange(4)], lengths, 12)] == [[0, 1], [2], [3]]
    assert [part.tolist() for part in divided([np.arange(4)], lengths, 56)] == [[0, 1, 2, 3]]
    assert [part.tolist() for part in divided([np.arange(2), np.arange(2, 4)], lengths, 0)] == [[0], [1], [2], [3]]


def known(batch, row):
    """The n-grams of a text with their weights."""
    ngrams, weights = (batch.inputs[name][row].tolist() for name in ("ngrams", "ngram_weights"))
    return {ngram: weight for ngram, weight in zip(ngrams, weights, strict=True) if ngram}


def test_a_step_has_the_largest_weights_of_a_long_text(split, monkeypatch):
    monkeypatch.setattr(text_input, "LEAST_NGRAMS", 8)
    usual = list(split.batches(8, rng=np.random.default_rng(0)))
    monkeypatch.setattr(batching, "MOST_NUMBERS", 60)
    found = list(split.batches(8, rng=np.random.default_rng(0)))
    assert [batch.rows.tolist() for batch in found] == [batch.rows.tolist() for batch in usual]
    for before, after in zip(usual, found, strict=True):
        assert after.inputs["ngrams"].shape[1] <= 8
        for row in range(len(before.rows)):
            weights, kept = (known(batch, row) for batch in (before, after))
            assert sorted(weights.values())[-8:] == sorted(kept.values())
            assert kept.items() <= weights.items()
    assert {batch.inputs["ngrams"].shape[1] for batch in usual} == {2, 200}


def test_texts_that_are_cut_are_batched_by_their_ngrams():
    words = [" ".join(f"w{number}" for number in range(count)) for count in (9, 2, 5, 7, 3)]
    both = split_of(words, max_length=4, tokens={"kind": "words", "min_count": 1}).with_indices(np.arange(5))
    assert both.lengths.tolist() == [13, 2, 9, 11, 3]
    assert both.with_arrays(["tokens"]).lengths.tolist() == [4, 2, 4, 4, 3]


def test_a_prediction_of_few_long_texts_is_divided(split, monkeypatch):
    arrays = split.input.batch(split.raw(np.arange(11)))
    assert not too_large(split.input, arrays)
    monkeypatch.setattr(batching, "MOST_NUMBERS", 60)
    assert too_large(split.input, arrays)
