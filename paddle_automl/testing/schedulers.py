"""The contract of schedulers."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import pytest

from paddle_automl.search.schedulers.base import Curves, Decision, Point, Scheduler
from paddle_automl.testing.options import check_options, config_of

EPOCHS = 9


class SchedulerContract:
    """Tests of a scheduler: parametrize `plugin` with its class; `options` are its required options, if any."""

    options: ClassVar[dict[str, Any]] = {}
    compares: ClassVar[bool] = True
    """Whether it stops a trial only because others are better, by any amount: then the first and the best are never
    stopped. False for a scheduler that judges each trial by itself, for example by a fixed limit."""

    def make(self, plugin: type[Scheduler], epochs: int | None = None) -> Scheduler:
        """Return a new scheduler."""
        return plugin(config_of(plugin, self.options), epochs=epochs)

    def _comparing(self) -> None:
        if not self.compares:
            pytest.skip("it judges a trial by itself")

    def test_options_are_described(self, plugin: type[Scheduler]) -> None:
        """Class and options have a docstring."""
        check_options(plugin)

    @pytest.mark.parametrize("seed", range(3))
    def test_decisions_depend_on_nothing_but_the_arguments(self, plugin: type[Scheduler], seed: int) -> None:
        """Not on earlier calls or the order of the trials; curves do not change."""
        searches: tuple[Sequence[Sequence[Point]], ...] = (random_costs(seed, 12), several(seed, 12))
        for rows in searches:
            curves: dict[int, dict[int, Point]] = {n: dict(enumerate(row, 1)) for n, row in enumerate(rows)}
            kept = copy.deepcopy(curves)
            rule = self.make(plugin)
            for number, curve in curves.items():
                for epoch, point in curve.items():
                    first = rule.decide(number, epoch, point, curves)
                    assert isinstance(first, Decision)
                    assert first is rule.decide(number, epoch, point, curves), "a second call decides differently"
                    backwards = dict(reversed(curves.items()))
                    other = self.make(plugin).decide(number, epoch, point, backwards)
                    assert first is other, "the decision depends on earlier calls or on the order of the trials"
            assert curves == kept, "the curves given are changed"

    @pytest.mark.parametrize("epochs", [None, EPOCHS])
    def test_the_first_trial_is_never_stopped(self, plugin: type[Scheduler], epochs: int | None) -> None:
        """No other trial is better, even if it gets worse."""
        self._comparing()
        assert play(self.make(plugin, epochs), [[3.0 + epoch for epoch in range(EPOCHS)]]) == [EPOCHS]

    @pytest.mark.parametrize("epochs", [None, EPOCHS])
    @pytest.mark.parametrize("seed", range(5))
    def test_the_best_trial_is_never_stopped(self, plugin: type[Scheduler], epochs: int | None, seed: int) -> None:
        """For curves that do not cross: the best at the end was always the best."""
        self._comparing()
        costs = random_costs(seed)
        reached = play(self.make(plugin, epochs), costs)
        assert reached[int(np.argmin([row[-1] for row in costs]))] == EPOCHS

    @pytest.mark.parametrize("seed", range(3))
    def test_of_several_objectives_the_best_in_the_first_is_never_stopped(
        self, plugin: type[Scheduler], seed: int
    ) -> None:
        """Independent of the other objectives, because the exported model may be this one."""
        self._comparing()
        reports = several(seed)
        reached = play(self.make(plugin), reports)
        assert reached[int(np.argmin([row[-1][1] for row in reports]))] == EPOCHS

    def test_a_shift_of_all_costs_changes_nothing(self, plugin: type[Scheduler]) -> None:
        """Costs may be negative: those of maximized metrics are."""
        self._comparing()
        costs = random_costs(1)
        shifted = [[cost - 7 for cost in row] for row in costs]
        assert play(self.make(plugin), costs) == play(self.make(plugin), shifted)

    def test_trials_that_report_rarely_or_once(self, plugin: type[Scheduler]) -> None:
        """Some trials have no report yet."""
        rule = self.make(plugin)
        curves: dict[int, dict[int, Point]] = {number: {5: 0.1 * number} for number in range(9)}
        curves |= {9: {2: 1.0}, 10: {5: 9.0}, 11: {}}
        best, worst = rule.decide(0, 5, 0.0, curves), rule.decide(10, 5, 9.0, curves)
        assert isinstance(best, Decision)
        assert isinstance(worst, Decision)
        assert best is Decision.CONTINUE or not self.compares

    def test_an_objective_that_is_not_told_is_left_out(self, plugin: type[Scheduler]) -> None:
        """Its cost is NaN until it is known."""
        unknown = [[(0.0, cost, float("nan")) for cost in row] for row in random_costs(4)]
        known = [[(0.0, cost) for cost in row] for row in random_costs(4)]
        assert play(self.make(plugin), unknown) == play(self.make(plugin), known)


def play(rule: Scheduler, costs: Sequence[Sequence[Point]]) -> list[int]:
    """Run trials in sequence; return the last epoch of each."""
    curves: dict[int, dict[int, Point]] = {}
    reached = []
    for number, row in enumerate(costs):
        curves[number] = {}
        epoch = 0
        for epoch, cost in enumerate(row, 1):
            curves[number][epoch] = cost
            if _stops(rule, number, epoch, cost, curves):
                break
        reached.append(epoch)
    return reached


def random_costs(seed: int, trials: int = 30, epochs: int = EPOCHS) -> list[list[float]]:
    """Return decreasing curves that do not cross."""
    ends = np.random.default_rng(seed).random(trials)
    return [[float(end) + 1 / epoch for epoch in range(1, epochs + 1)] for end in ends]


def several(seed: int, trials: int = 30) -> list[list[tuple[float, ...]]]:
    """Return reports of two costs with decreasing curves that do not cross, and of one constant cost."""
    sizes = np.random.default_rng(seed).integers(1, 100, trials)
    pairs = zip(random_costs(seed, trials), random_costs(seed + 100, trials), sizes, strict=True)
    return [[(0.0, *both, float(size)) for both in zip(one, other, strict=True)] for one, other, size in pairs]


def _stops(rule: Scheduler, number: int, epoch: int, cost: Point, curves: Curves) -> bool:
    return rule.decide(number, epoch, cost, curves) is Decision.STOP
