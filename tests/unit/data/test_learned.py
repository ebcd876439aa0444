"""Items that a start network has learned are for training, whichever split was drawn for them."""

import logging

import numpy as np
import pytest

from paddle_automl.core.errors import DataError
from paddle_automl.data.items import NOWHERE, UNREADABLE, ItemList
from paddle_automl.data.learned import kept_for_training

TRAIN, VALIDATION, TEST = range(3)


def listed(splits, content=None, folds=None):
    count = len(splits)
    return ItemList(
        content=np.arange(1, count + 1, dtype=np.uint64) if content is None else np.array(content, dtype=np.uint64),
        targets=np.zeros(count, dtype=np.uint32),
        splits=np.array(splits, dtype=np.int8),
        folds=None if folds is None else np.array(folds, dtype=np.int16),
        names=None,
        target_names=("a",),
        key="key",
    )


def kept(items, learned, units=None):
    units = np.arange(len(items)) if units is None else np.array(units)
    return kept_for_training(items, np.array(learned, dtype=np.uint64), units, "image")


def test_learned_items_of_validation_and_test_are_for_training(caplog):
    items = listed([TRAIN, VALIDATION, VALIDATION, TEST, TEST, NOWHERE])
    with caplog.at_level(logging.WARNING, logger="paddle_automl"):
        found = kept(items, [1, 3, 4, 5, 6])
    assert found.splits.tolist() == [TRAIN, VALIDATION, TRAIN, TRAIN, TRAIN, NOWHERE]
    assert found.splits.dtype == np.int8
    assert "learned 1 of 2 images of the validation split, 2 of 2 images of the test split already" in caplog.text


def test_nothing_is_said_where_nothing_moves(caplog):
    items = listed([TRAIN, VALIDATION, TEST, TEST], content=[1, 2, 3, UNREADABLE])
    with caplog.at_level(logging.INFO, logger="paddle_automl"):
        assert kept(items, [1, 77, UNREADABLE]) is items
    assert not caplog.records


def test_what_belongs_together_moves_together():
    """Such as the photos of a group, or the same picture in another file."""
    items = listed([TRAIN, VALIDATION, VALIDATION, VALIDATION])
    assert kept(items, [2], units=[0, 1, 1, 2]).splits.tolist() == [TRAIN, TRAIN, TRAIN, VALIDATION]


def test_they_are_in_no_fold():
    items = listed([TRAIN, TRAIN, VALIDATION, VALIDATION, TEST], folds=[0, 1, 0, 1, NOWHERE])
    found = kept(items, [1])
    assert found.folds.tolist() == [NOWHERE, 1, 0, 1, NOWHERE]
    assert found.indices(0)["train"].tolist() == [0, 1, 3]
    assert found.indices(1)["train"].tolist() == [0, 2]


@pytest.mark.parametrize(("learned", "place"), [([3, 4], "the validation split"), ([1, 3], "fold 0")])
def test_validation_and_folds_without_items_are_refused(learned, place):
    items = listed([TRAIN, TRAIN, VALIDATION, VALIDATION, TEST], folds=[0, 1, 0, 1, NOWHERE])
    with pytest.raises(DataError, match=rf"model\.pretrained: .* all 2 images of {place} already.*'trials'"):
        kept(items, learned)
