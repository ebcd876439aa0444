"""What every learning-rate schedule must hold to; each file in the folder is tested by itself."""

import math
from itertools import pairwise

import pytest

from paddle_automl.core.describe import all_options
from paddle_automl.training.lr_schedules.base import LR_SCHEDULES

named = pytest.mark.parametrize("name", LR_SCHEDULES.names())


def factors(name, epochs=10, steps_per_epoch=4, **options):
    cls = LR_SCHEDULES[name]
    schedule = cls(cls.Config(name=name, **options), epochs=epochs, steps_per_epoch=steps_per_epoch)
    return [schedule.factor(step) for step in range(epochs * steps_per_epoch)]


@named
def test_starts_full_never_grows_and_stays_positive(name):
    values = factors(name)
    assert values[0] == 1.0
    assert all(a >= b > 0 for a, b in pairwise(values))


@named
def test_warm_up_is_linear_and_complete(name):
    values = factors(name, warmup_epochs=2)
    assert values[:8] == pytest.approx([1 / 8, 2 / 8, 3 / 8, 4 / 8, 5 / 8, 6 / 8, 7 / 8, 1])
    assert values[8] == 1.0
    assert factors(name, warmup_epochs=0.5)[:2] == pytest.approx([1 / 2, 1])
    assert factors(name, epochs=1, steps_per_epoch=1) == [1.0]


@named
def test_options_are_described(name):
    assert LR_SCHEDULES.summary(name)
    for option in all_options(LR_SCHEDULES[name].Config):
        assert option.doc, option.key


def test_by_hand():
    assert factors("constant") == [1.0] * 40
    cosine = factors("cosine", epochs=2, steps_per_epoch=2)
    assert cosine == pytest.approx([1, (1 + math.sqrt(0.5)) / 2, 0.5, (1 - math.sqrt(0.5)) / 2])
    assert factors("cosine", epochs=2, steps_per_epoch=1, final=0.2) == pytest.approx([1.0, 0.6])
    assert factors("step", epochs=4, steps_per_epoch=1) == pytest.approx([1, 1, 0.1, 0.01])
    after_warmup = factors("step", epochs=6, steps_per_epoch=1, warmup_epochs=2, milestones=(0.5,), gamma=0.5)
    assert after_warmup == pytest.approx([0.5, 1, 1, 1, 0.5, 0.5])
