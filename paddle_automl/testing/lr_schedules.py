"""The contract of learning-rate schedules."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from paddle_automl.testing.options import check_options
from paddle_automl.training.lr_schedules.base import LrSchedule


class LrScheduleContract:
    """Tests of a schedule: parametrize `plugin` with its class; `options` are its required options, if any."""

    options: ClassVar[dict[str, Any]] = {}

    def factors(
        self, plugin: type[LrSchedule], epochs: int = 10, steps_per_epoch: int = 4, **options: Any
    ) -> list[float]:
        """Return the factor of each step of a training."""
        config = plugin.Config(**{**self.options, **options})
        schedule = plugin(config, epochs=epochs, steps_per_epoch=steps_per_epoch)
        return [schedule.factor(step) for step in range(epochs * steps_per_epoch)]

    @pytest.mark.parametrize(("epochs", "steps_per_epoch"), [(10, 4), (1, 1), (1, 7), (300, 1)])
    def test_every_factor_is_a_positive_fraction_of_the_full_rate(
        self, plugin: type[LrSchedule], epochs: int, steps_per_epoch: int
    ) -> None:
        """The learning rate of the configuration is the highest one; a step with rate 0 would change nothing."""
        # A comparison with NaN is false.
        assert all(0 < value <= 1 for value in self.factors(plugin, epochs, steps_per_epoch))

    def test_places_between_the_steps_have_a_factor_and_no_call_changes_another(
        self, plugin: type[LrSchedule]
    ) -> None:
        """Steps of short epochs lie further apart, and a resumed training begins anywhere."""
        schedule = plugin(plugin.Config(**self.options), epochs=3, steps_per_epoch=4)
        places = [step / 2 for step in range(24)]
        first = [schedule.factor(place) for place in places]
        assert [schedule.factor(place) for place in reversed(places)] == first[::-1]
        assert all(0 < value <= 1 for value in first)

    def test_the_course_does_not_depend_on_the_number_of_steps(self, plugin: type[LrSchedule]) -> None:
        """Another batch size has the same schedule."""
        fine = self.factors(plugin, steps_per_epoch=8)
        assert fine[::2] == pytest.approx(self.factors(plugin, steps_per_epoch=4))

    def test_warm_up_is_linear_and_complete_and_the_course_begins_after_it(self, plugin: type[LrSchedule]) -> None:
        """The option warmup_epochs works for every schedule, and nothing falls or leaps where it ends."""
        values = self.factors(plugin, warmup_epochs=2)
        first = values[8]
        assert values[:8] == pytest.approx([first * step / 8 for step in range(1, 9)])
        assert values[8:] == pytest.approx(self.factors(plugin, epochs=8))
        assert self.factors(plugin, warmup_epochs=0.5)[:2] == pytest.approx([first / 2, first])
        assert self.factors(plugin, epochs=1, steps_per_epoch=1, warmup_epochs=1) == pytest.approx([first])

    def test_options_are_described(self, plugin: type[LrSchedule]) -> None:
        """Class and options have a docstring."""
        check_options(plugin)
