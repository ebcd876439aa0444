"""Balanced passes over a split."""

import numpy as np
import pytest

from paddle_automl.core.errors import ConfigError
from paddle_automl.core.loading import validate
from paddle_automl.data.config import DataConfig
from paddle_automl.data.prepare import prepare
from paddle_automl.data.sampling import balanced_order
from paddle_automl.training.config import TrainingConfig
from paddle_automl.training.recipe import check_sampling

CLASSES = np.array([0] * 70 + [1] * 25 + [4] * 7)


@pytest.mark.parametrize("seed", range(5))
def test_each_class_is_there_equally_often(seed):
    order = balanced_order(CLASSES, np.random.default_rng(seed))
    assert len(order) == 102
    counts = np.bincount(CLASSES[order])
    assert counts[counts > 0].tolist() == [34, 34, 34]
    times = np.bincount(order, minlength=102)
    # Of the large class a part, each item at most once; the others as evenly as possible.
    assert times[:70].max() == 1
    assert set(times[70:95]) == {1, 2}
    assert set(times[95:]) == {4, 5}


def test_the_seed_decides_the_order_and_rests_are_spread():
    first, again, other = (balanced_order(CLASSES, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    counts = np.bincount(np.arange(3)[balanced_order(np.arange(3), np.random.default_rng(0))])
    assert counts.tolist() == [1, 1, 1]
    uneven = np.array([0, 0, 0, 0, 1])
    assert sorted(np.bincount(uneven[balanced_order(uneven, np.random.default_rng(0))])) == [2, 3]
    assert len(balanced_order(np.zeros(0, np.int64), np.random.default_rng(0))) == 0


def test_batches_of_a_split_are_balanced():
    data = prepare(validate(DataConfig, {}), seed=0)
    threes = data.train.codes == 3
    split = data.train.with_indices(
        np.concatenate([data.train.indices[~threes][:90], data.train.indices[threes][:2]])
    )
    codes = np.concatenate(
        [batch.codes for batch in split.batches(10, rng=np.random.default_rng(0), balanced=True)]
    )
    counts = np.bincount(codes, minlength=10)
    assert counts.sum() == 92
    assert counts.max() - counts.min() <= 1
    with pytest.raises(ValueError, match="needs a random generator"):
        next(split.batches(10, balanced=True))
    plain = [
        np.concatenate([batch.rows for batch in split.batches(10, rng=np.random.default_rng(0), **options)])
        for options in ({}, {"balanced": False})
    ]
    assert np.array_equal(plain[0], np.random.default_rng(0).permutation(92))
    assert np.array_equal(*plain)


@pytest.mark.parametrize("target", ["digit_and_parity", "value"])
def test_other_tasks_are_refused(target):
    data = prepare(validate(DataConfig, {"dataset": {"name": "digits", "target": target}}), seed=0)
    config = validate(TrainingConfig, {"sampling": "balanced"})
    with pytest.raises(ConfigError, match=r"training\.sampling: balanced needs one class per item"):
        check_sampling(config, data.task, data.train.codes)
    check_sampling(validate(TrainingConfig, {}), data.task, data.train.codes)
