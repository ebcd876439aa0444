"""Every learning-rate schedule against its contract, and the values of our own."""

import math
from itertools import pairwise

import pytest

from paddle_automl.testing.lr_schedules import LrScheduleContract
from paddle_automl.training.lr_schedules.base import LR_SCHEDULES, LrSchedule

CLASSES = [LR_SCHEDULES[name] for name in LR_SCHEDULES.names()]


class LinearCycle(LrSchedule):
    """A tenth of the rate, up to the full rate in the first third, then down (Smith and Topin 2019)."""

    def after_warmup(self, progress):
        return 0.1 + 2.7 * progress if progress < 1 / 3 else 1.5 * (1 - progress)


class Restarts(LrSchedule):
    """Two cosines, one after the other (Loshchilov and Hutter 2017)."""

    def after_warmup(self, progress):
        return (1 + math.cos(2 * math.pi * progress % math.pi)) / 2


# Schedules that a user may well bring along stand beside the registered ones: they keep the contract too.
@pytest.mark.parametrize("plugin", [*CLASSES, LinearCycle, Restarts], ids=lambda cls: cls.__name__)
class TestLrSchedules(LrScheduleContract):
    pass


def factors(name, epochs=10, steps_per_epoch=4, **options):
    return LrScheduleContract().factors(LR_SCHEDULES[name], epochs, steps_per_epoch, **options)


@pytest.mark.parametrize("name", ["constant", "cosine", "step", "polynomial", "exponential", "plateau"])
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


def test_triangle_and_one_cycle_by_hand():
    values = factors("triangle", epochs=1, steps_per_epoch=8, start=0.2, peak=0.5, final=0.2)
    assert values == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0, 0.8, 0.6, 0.4])
    # Warm-up rises to where they begin, not to the full rate and down again.
    values = factors("triangle", epochs=2, steps_per_epoch=4, start=0.2, peak=0.5, final=0.2, warmup_epochs=1)
    assert values == pytest.approx([0.05, 0.1, 0.15, 0.2, 0.2, 0.6, 1.0, 0.6])
    values = factors("one_cycle", epochs=1, steps_per_epoch=8, start=0.2, peak=0.25, final=0.1)
    down = [0.1 + 0.9 * (1 + math.cos(math.pi * step / 6)) / 2 for step in range(6)]
    assert values == pytest.approx([0.2, 0.6, *down])


def test_cosines_by_hand():
    # Lengths in proportion 1, 2, 4: of 7 steps the cosines begin at 0, 1 and 3.
    half = [(1 + math.cos(math.pi * step / 4)) / 2 for step in range(4)]
    values = factors("cosine_restarts", epochs=7, steps_per_epoch=1)
    assert values == pytest.approx([1, 1, 0.5, *half])
    alike = factors("cosine_restarts", epochs=4, steps_per_epoch=1, cycles=2, growth=1.0, final=0.2)
    assert alike == pytest.approx([1, 0.6, 1, 0.6])
    assert factors("cosine_restarts", cycles=1) == pytest.approx(factors("cosine"))


def test_falling_ones_by_hand():
    assert factors("polynomial", epochs=1, steps_per_epoch=4) == pytest.approx([1, 0.75, 0.5, 0.25])
    squared = factors("polynomial", epochs=1, steps_per_epoch=2, power=2.0, final=0.2)
    assert squared == pytest.approx([1, 0.2 + 0.8 / 4])
    assert factors("exponential", epochs=1, steps_per_epoch=2) == pytest.approx([1, 0.1])


def test_plateau_follows_what_it_observes():
    cls = LR_SCHEDULES["plateau"]
    config = cls.Config(gamma=0.5, patience=1, min_gain=0.1, final=0.2, warmup_epochs=1)
    schedule = cls(config, epochs=10, steps_per_epoch=2)
    seen = []
    # Better; then twice not by more than 0.1: a fall; better; three falls, the last one to the smallest factor.
    for merit in (-1.0, -0.95, -0.9, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0):
        schedule.observe(merit)
        seen.append(schedule.factor(10))
    assert seen == [1, 1, 0.5, 0.5, 0.5, 0.25, 0.25, 0.2, 0.2, 0.2]
    # Warm-up ends with the full rate whatever was observed.
    assert schedule.factor(1) == 1.0


def test_schedules_of_steps_do_not_mind_what_is_observed():
    for cls in CLASSES:
        if cls.name != "plateau":
            schedule = cls(cls.Config(), epochs=4, steps_per_epoch=2)
            before = schedule.factor(5)
            for _ in range(9):
                schedule.observe(0.0)
            assert schedule.factor(5) == before, cls.name
