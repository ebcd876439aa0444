"""Every learning-rate schedule against its contract, and the values of our own."""

import math
from itertools import pairwise

import pytest

from paddle_automl.testing.lr_schedules import LrScheduleContract
from paddle_automl.training.lr_schedules.base import LR_SCHEDULES, LrSchedule

CLASSES = [LR_SCHEDULES[name] for name in LR_SCHEDULES.names()]


class OneCycle(LrSchedule):
    """A tenth of the rate, up to the full rate in the first third, then down (Smith and Topin 2019)."""

    def after_warmup(self, progress):
        return 0.1 + 2.7 * progress if progress < 1 / 3 else 1.5 * (1 - progress)


class Restarts(LrSchedule):
    """Two cosines, one after the other (Loshchilov and Hutter 2017)."""

    def after_warmup(self, progress):
        return (1 + math.cos(2 * math.pi * progress % math.pi)) / 2


# Schedules that a user may well bring along stand beside the registered ones: they keep the contract too.
@pytest.mark.parametrize("plugin", [*CLASSES, OneCycle, Restarts], ids=lambda cls: cls.__name__)
class TestLrSchedules(LrScheduleContract):
    pass


def factors(name, epochs=10, steps_per_epoch=4, **options):
    return LrScheduleContract().factors(LR_SCHEDULES[name], epochs, steps_per_epoch, **options)


@pytest.mark.parametrize("name", ["constant", "cosine", "step"])
def test_our_own_start_with_the_full_rate_and_never_rise(name):
    values = factors(name)
    assert values[0] == 1.0
    assert all(before >= after for before, after in pairwise(values))


def test_by_hand():
    assert factors("constant") == [1.0] * 40
    cosine = factors("cosine", epochs=2, steps_per_epoch=2)
    assert cosine == pytest.approx([1, (1 + math.sqrt(0.5)) / 2, 0.5, (1 - math.sqrt(0.5)) / 2])
    assert factors("cosine", epochs=2, steps_per_epoch=1, final=0.2) == pytest.approx([1.0, 0.6])
    assert factors("step", epochs=4, steps_per_epoch=1) == pytest.approx([1, 1, 0.1, 0.01])
    after_warmup = factors("step", epochs=6, steps_per_epoch=1, warmup_epochs=2, milestones=(0.5,), gamma=0.5)
    assert after_warmup == pytest.approx([0.5, 1, 1, 1, 0.5, 0.5])
