"""The laws of every scheduler, and the published rules of each."""

import numpy as np
import pytest

from paddle_automl.core.errors import ConfigError
from paddle_automl.core.loading import validate
from paddle_automl.search.config import SearchConfig
from paddle_automl.search.dominance import order
from paddle_automl.search.schedulers.base import SCHEDULERS, Decision, Scheduler
from tests.unit.search.helpers import scheduler

NAMES = SCHEDULERS.names()
GO, STOP = Decision.CONTINUE, Decision.STOP


def play(rule, costs):
    """Run trials one after the other through their epochs; return how far each came."""
    curves, reached = {}, []
    for number, row in enumerate(costs):
        curves[number] = {}
        for epoch, cost in enumerate(row, 1):
            curves[number][epoch] = cost
            if rule.decide(number, epoch, cost, curves) is STOP:
                break
        reached.append(epoch)
    return reached


def random_costs(seed, trials=30, epochs=9):
    rng = np.random.default_rng(seed)
    ends = rng.random(trials)
    return [[end + 1 / epoch for epoch in range(1, epochs + 1)] for end in ends]


@pytest.mark.parametrize("name", NAMES)
def test_is_documented_and_configured_by_its_own_class(name):
    assert issubclass(SCHEDULERS[name], Scheduler)
    assert SCHEDULERS.summary(name)
    assert all(field.description for field in SCHEDULERS[name].Config.model_fields.values())
    with pytest.raises(ConfigError, match="unknown key"):
        validate(SearchConfig, {"scheduler": {"name": name, "no_such_option": 1}})


@pytest.mark.parametrize("name", NAMES)
def test_the_first_trial_is_never_stopped(name):
    assert play(scheduler(name), [[3, 4, 5, 6, 7, 8, 9, 10, 11]]) == [9]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seed", range(5))
def test_the_best_trial_is_never_stopped(name, seed):
    """Curves that do not cross: whoever is best at the end was best all the time."""
    costs = random_costs(seed)
    reached = play(scheduler(name), costs)
    assert reached[int(np.argmin([row[-1] for row in costs]))] == 9


@pytest.mark.parametrize("name", NAMES)
def test_decisions_are_repeatable_and_depend_on_nothing_else(name):
    curves = {n: dict(enumerate(row, 1)) for n, row in enumerate(random_costs(0, trials=12))}
    rule, other = scheduler(name), scheduler(name)
    for number, curve in curves.items():
        for epoch, cost in curve.items():
            first = rule.decide(number, epoch, cost, curves)
            assert first is rule.decide(number, epoch, cost, curves)
            assert first is other.decide(number, epoch, cost, dict(reversed(curves.items())))


@pytest.mark.parametrize("name", NAMES)
def test_a_shift_of_all_costs_changes_nothing(name):
    costs = random_costs(1)
    shifted = [[cost - 7 for cost in row] for row in costs]
    assert play(scheduler(name), costs) == play(scheduler(name), shifted)


@pytest.mark.parametrize("name", NAMES)
def test_trials_that_report_rarely_or_once(name):
    rule = scheduler(name)
    curves = {number: {5: 0.1 * number} for number in range(9)} | {9: {2: 1.0}, 10: {}}
    assert rule.decide(0, 5, 0.0, curves) is GO
    assert rule.decide(10, 5, 9.0, curves) in (GO, STOP)


def several(seed, trials=30):
    """Return reports of accuracy and loss that improve, and of a size that is known from the start."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 100, trials)
    return [
        [(0.0, *point, float(size)) for point in zip(one, other, strict=True)]
        for one, other, size in zip(
            random_costs(seed, trials), random_costs(seed + 100, trials), sizes, strict=True
        )
    ]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seed", range(3))
def test_several_objectives_never_stop_the_best_in_the_first(name, seed):
    reports = several(seed)
    reached = play(scheduler(name), reports)
    assert reached[int(np.argmin([row[-1][1] for row in reports]))] == 9


@pytest.mark.parametrize("name", [name for name in NAMES if name != "median"])
def test_one_objective_told_twice_is_as_one(name):
    """The same curve in every objective leaves nothing to trade. (A median of places is none of values.)"""
    for seed in range(3):
        costs = random_costs(seed)
        assert play(scheduler(name), [[(0.0, c, c) for c in row] for row in costs]) == play(scheduler(name), costs)


@pytest.mark.parametrize("name", NAMES)
def test_decisions_with_several_objectives_depend_on_nothing_else(name):
    curves = {n: dict(enumerate(row, 1)) for n, row in enumerate(several(0, trials=12))}
    for number, curve in curves.items():
        for epoch, point in curve.items():
            first = scheduler(name).decide(number, epoch, point, curves)
            assert first is scheduler(name).decide(number, epoch, point, dict(reversed(curves.items())))


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


@pytest.mark.parametrize("name", NAMES)
def test_an_objective_that_is_not_told_is_left_out(name):
    rows = [[(0.0, cost, float("nan")) for cost in row] for row in random_costs(4)]
    known = [[(0.0, cost) for cost in row] for row in random_costs(4)]
    assert play(scheduler(name), rows) == play(scheduler(name), known)


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
