"""What every learning-rate schedule must hold to; each file in the folder is tested by itself."""

import math
from itertools import pairwise

import pytest

from paddle_automl.core.describe import all_options
from paddle_automl.training.lr_schedules.base import LR_SCHEDULES, LrSchedule


class OneCycle(LrSchedule):
    """A tenth of the rate, up to the full rate in the first third, then down (Smith and Topin 2019)."""

    def after_warmup(self, progress):
        return 0.1 + 2.7 * progress if progress < 1 / 3 else 1.5 * (1 - progress)


class Restarts(LrSchedule):
    """Two cosines, one after the other (Loshchilov and Hutter 2017)."""

    def after_warmup(self, progress):
        return (1 + math.cos(2 * math.pi * progress % math.pi)) / 2


# Schedules that a user may well bring along stand beside the registered ones: they keep the contract too.
every = pytest.mark.parametrize(
    "cls", [*map(LR_SCHEDULES.__getitem__, LR_SCHEDULES.names()), OneCycle, Restarts], ids=lambda cls: cls.__name__
)
named = pytest.mark.parametrize("name", LR_SCHEDULES.names())


def factors(name, epochs=10, steps_per_epoch=4, **options):
    cls = LR_SCHEDULES[name] if isinstance(name, str) else name
    schedule = cls(cls.Config(**options), epochs=epochs, steps_per_epoch=steps_per_epoch)
    return [schedule.factor(step) for step in range(epochs * steps_per_epoch)]


@every
@pytest.mark.parametrize(("epochs", "steps_per_epoch"), [(10, 4), (1, 1), (1, 7), (300, 1)])
def test_every_factor_is_a_positive_part_of_the_full_rate(cls, epochs, steps_per_epoch):
    values = factors(cls, epochs, steps_per_epoch)
    assert len(values) == epochs * steps_per_epoch
    # A comparison with NaN is false.
    assert all(0 < value <= 1 for value in values)


@every
def test_places_between_the_steps_have_a_factor_and_no_call_changes_another(cls):
    schedule = cls(cls.Config(), epochs=3, steps_per_epoch=4)
    places = [step / 2 for step in range(24)]
    first = [schedule.factor(place) for place in places]
    assert [schedule.factor(place) for place in reversed(places)] == first[::-1]
    assert all(0 < value <= 1 for value in first)


@every
def test_the_course_does_not_depend_on_the_number_of_steps(cls):
    assert factors(cls, steps_per_epoch=8)[::2] == pytest.approx(factors(cls, steps_per_epoch=4))


@every
def test_warm_up_is_linear_and_complete_and_the_course_begins_after_it(cls):
    values = factors(cls, warmup_epochs=2)
    assert values[:8] == pytest.approx([1 / 8, 2 / 8, 3 / 8, 4 / 8, 5 / 8, 6 / 8, 7 / 8, 1])
    assert values[8:] == pytest.approx(factors(cls, epochs=8))
    assert factors(cls, warmup_epochs=0.5)[:2] == pytest.approx([1 / 2, 1])
    assert factors(cls, epochs=1, steps_per_epoch=1, warmup_epochs=1) == [1.0]


@named
def test_options_are_described(name):
    assert LR_SCHEDULES.summary(name)
    for option in all_options(LR_SCHEDULES[name].Config):
        assert option.doc, option.key


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
