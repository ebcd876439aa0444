"""Every scheduler against its contract, and the published rules of each."""

import pytest

from paddle_automl.core.schema import PluginConfig
from paddle_automl.search.dominance import order
from paddle_automl.search.schedulers.base import SCHEDULERS, Decision, Scheduler, curve_cost
from paddle_automl.testing.schedulers import SchedulerContract, play, random_costs
from tests.unit.search.helpers import scheduler

NAMES = SCHEDULERS.names()
GO, STOP = Decision.CONTINUE, Decision.STOP


@pytest.mark.parametrize("plugin", [SCHEDULERS[name] for name in NAMES], ids=NAMES)
class TestSchedulers(SchedulerContract):
    pass


class Hopeless(Scheduler):
    """Stops a trial whose cost is above a limit, whatever the others do."""

    class Config(PluginConfig):
        """The limit."""

        limit: float = 0.9
        """Cost above which a trial is hopeless."""

    def decide(self, number, epoch, cost, curves):
        return STOP if curve_cost(cost) > self.config.limit else GO


@pytest.mark.parametrize("plugin", [Hopeless])
class TestOfOnesOwn(SchedulerContract):
    compares = False


class Counting(SCHEDULERS["none"]):
    """Keeps a state."""

    def __init__(self, config, *, epochs=None):
        super().__init__(config, epochs=epochs)
        self.calls = 0

    def decide(self, number, epoch, cost, curves):
        self.calls += 1
        return STOP if self.calls == 7 else GO


class Ordering(SCHEDULERS["none"]):
    """Looks at the last trial of the curves, which is any of them."""

    def decide(self, number, epoch, cost, curves):
        return STOP if list(curves)[-1] == number else GO


class Upside(SCHEDULERS["none"]):
    """Takes a high cost for a good one."""

    def decide(self, number, epoch, cost, curves):
        best = max(curve_cost(point) for curve in curves.values() for point in curve.values())
        return STOP if curve_cost(cost) < best and epoch > 1 else GO


class Clearing(SCHEDULERS["none"]):
    """Changes what it was given."""

    def decide(self, number, epoch, cost, curves):
        curves[number].pop(1, None)
        return GO


def test_a_scheduler_with_a_state_is_caught():
    with pytest.raises(AssertionError, match="a second call decides differently"):
        SchedulerContract().test_decisions_depend_on_nothing_but_the_arguments(Counting, 0)
    with pytest.raises(AssertionError, match="on the order of the trials"):
        SchedulerContract().test_decisions_depend_on_nothing_but_the_arguments(Ordering, 0)


def test_a_scheduler_that_changes_the_curves_is_caught():
    with pytest.raises((AssertionError, RuntimeError)):
        SchedulerContract().test_decisions_depend_on_nothing_but_the_arguments(Clearing, 0)


def test_a_scheduler_that_stops_the_best_is_caught():
    with pytest.raises(AssertionError):
        SchedulerContract().test_the_best_trial_is_never_stopped(Upside, None, 0)
    with pytest.raises(AssertionError):
        SchedulerContract().test_of_several_objectives_the_best_in_the_first_is_never_stopped(Upside, 0)
    with pytest.raises(AssertionError):
        SchedulerContract().test_the_first_trial_is_never_stopped(Hopeless, None)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "median"])
def test_one_objective_told_twice_is_as_one(name):
    """The same curve in every objective leaves nothing to trade. (A median of places is none of values.)"""
    for seed in range(3):
        costs = random_costs(seed)
        assert play(scheduler(name), [[(0.0, c, c) for c in row] for row in costs]) == play(scheduler(name), costs)


@pytest.mark.parametrize("name", ["asha", "hyperband", "median"])
def test_trials_beyond_a_limit_are_stopped_first_and_small_ones_are_spared(name):
    rule = scheduler(name)
    # 0 to 19: accurate and large; 20 to 22: beyond the limit though the most accurate; 23: weak, but smallest.
    rows = [[(0.0, 0.3 + 0.01 * n, 50.0 + n)] * 9 for n in range(20)]
    rows += [[(0.5, 0.1, 150.0)] * 9 for _ in range(3)] + [[(0.0, 0.9, 1.0)] * 9]
    reached = play(rule, rows)
    alone = play(rule, [[point[1] for point in row] for row in rows])
    assert max(reached[20:23]) <= min(alone[20:23])
    assert reached[23] > alone[23] == (2 if name == "median" else 1)


def test_the_order_of_several_objectives_by_hand():
    # Two beyond the limit, a front of four, two behind it.
    points = [(0.2, 0, 0), (0, 1, 9), (0, 4, 4), (0, 9, 1), (0, 3.9, 4.2), (0, 5, 5), (0, 9, 9), (0.1, 9, 9)]
    # The best in the first cost, the farthest from it, then the middle; its near neighbour last.
    assert order(points) == [7, 0, 3, 1, 2, 4, 5, 6] or order(points) == [7, 0, 2, 1, 3, 4, 5, 6]


def test_patience_waits_while_any_objective_improves():
    rule = scheduler("patience", epochs=2, min_change=0.05)
    assert play(rule, [[(0.0, 0.5, 0.9 - 0.1 * n, 7.0) for n in range(9)]]) == [9]
    assert play(rule, [[(0.0, 0.5, 0.9 - 0.01 * n, 7.0) for n in range(9)]]) == [3]


def test_hyperband_takes_the_epochs_of_a_trial():
    config = scheduler("hyperband").config
    cls = SCHEDULERS["hyperband"]
    brackets = lambda rule: {rule.bracket(number) for number in range(200)}  # noqa: E731
    assert brackets(cls(config, epochs=9)) == {0, 1, 2}
    assert brackets(cls(config, epochs=1)) == {0}
    assert brackets(cls(config)) == {0, 1, 2, 3}
    assert brackets(cls(cls.Config(max_epochs=3), epochs=81)) == {0, 1}


def test_none_lets_all_run():
    assert play(scheduler("none"), random_costs(0)) == [9] * 30


def test_asha_by_hand():
    rule = scheduler("asha", min_epochs=1, reduction=3)
    # Rungs 1, 3, 9. Of n trials at a rung max(1, n // 3) go on.
    assert play(rule, [[5] * 9, [4] * 9, [6] * 9, [4.5] * 9, [4.2] * 9, [4.1] * 9]) == [9, 9, 1, 1, 1, 3]


def test_asha_judges_the_best_value_so_far():
    rule = scheduler("asha", min_epochs=3, reduction=3)
    curves = {0: {1: 0.5, 2: 0.5, 3: 0.5}, 1: {1: 0.4, 2: 0.9, 3: 0.9}}
    assert rule.decide(1, 3, 0.9, curves) is GO
    assert rule.decide(1, 2, 0.9, curves) is GO


def test_asha_stops_none_before_its_share_of_the_epochs():
    cls = SCHEDULERS["asha"]
    config = cls.Config(min_epochs=2, min_share=0.3, reduction=2)
    curves = {0: dict.fromkeys(range(1, 21), 0.1), 1: dict.fromkeys(range(1, 7), 0.9)}
    decided = {
        epochs: [epoch for epoch in range(1, 7) if cls(config, epochs=epochs).decide(1, epoch, 0.9, curves) is STOP]
        for epochs in (20, 4, None)
    }
    assert decided == {20: [6], 4: [2, 4], None: [2, 4]}


def test_asha_does_not_miss_a_rung_between_two_reports():
    rule = scheduler("asha", min_epochs=2, reduction=2)
    curves = {0: {3: 0.1, 6: 0.1}, 1: {3: 0.9}}
    assert rule.decide(1, 3, 0.9, curves) is STOP
    curves[1] = {3: 0.05, 6: 0.9}
    assert rule.decide(1, 6, 0.9, curves) is GO


def test_asha_saves_most_epochs():
    reached = play(scheduler("asha"), random_costs(3))
    assert sum(reached) < 0.5 * 9 * 30


def test_median_by_hand():
    rule = scheduler("median", warmup_epochs=1, startup_trials=3)
    curves = {0: {1: 1.0, 2: 0.8}, 1: {1: 2.0, 2: 1.0}, 2: {1: 3.0, 2: 2.0}, 3: {1: 1.6, 2: 1.7}}
    # Running averages at epoch 2: 0.9, 1.5, 2.5; the median is 1.5; trial 3 has reached 1.6 at best.
    assert rule.decide(3, 2, 1.7, curves) is STOP
    assert rule.decide(3, 2, 1.5, {**curves, 3: {1: 1.6, 2: 1.5}}) is GO
    assert rule.decide(3, 1, 9.0, {**curves, 3: {1: 9.0}}) is GO
    del curves[2]
    assert rule.decide(3, 2, 1.7, curves) is GO
