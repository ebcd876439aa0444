"""The final choice: estimates from neighbours, and the default that only a sure lead replaces."""

import numpy as np
import pytest

from paddle_automl.search.configurations import ranked_configurations, settled_configurations, to_repeat
from paddle_automl.search.learning.encoding import Encoding
from paddle_automl.search.learning.estimates import FEWEST, estimate
from paddle_automl.search.learning.final_choice import next_repeat, winner
from paddle_automl.search.objective import Objective
from paddle_automl.search.records import TrialRecord
from paddle_automl.space import SearchSpace

SPACE = SearchSpace.parse({"x": {"float": [0.0, 1.0]}})
ENCODING = Encoding(SPACE)
COST = (Objective(metric="loss", goal="minimize"),)
RNG = np.random.default_rng(0)
PLACES = np.linspace(0.0, 1.0, 30)
TRUE = (PLACES - 0.7) ** 2
NOISY = TRUE + 0.03 * RNG.normal(size=30)


def estimates(costs, runs=None):
    params = [{"x": float(x)} for x in PLACES[: len(costs)]]
    return estimate(ENCODING, params, runs or [[float(cost)] for cost in costs])


def records(costs, baseline=0):
    params = [{"x": float(x)} for x in PLACES[: len(costs)]]
    return [
        TrialRecord(n, p, "complete", values=(float(c),), metrics={"loss": float(c)}, baseline=n == baseline)
        for n, (p, c) in enumerate(zip(params, costs, strict=True))
    ]


def test_a_lucky_run_is_pulled_back_to_its_neighbours():
    lucky = NOISY.copy()
    lucky[12] = NOISY.min() - 0.002
    found = estimates(lucky)
    assert found.original(found.values[12]) > lucky[12] + 0.01
    assert np.argmin(lucky) == 12 != winner([[c] for c in lucky], found)
    found = estimates(NOISY)
    errors = [found.original(value) - true for value, true in zip(found.values, TRUE, strict=True)]
    assert np.abs(errors).mean() < np.abs(NOISY - TRUE).mean()


def test_few_or_equal_results_give_no_estimates():
    assert estimates(NOISY[: FEWEST - 1]) is None
    assert estimates(np.ones(20)) is None
    assert winner([[0.3], [0.2], [0.4]]) == 1


def test_more_runs_of_a_configuration_weigh_more_than_the_model():
    runs = [[float(cost)] for cost in NOISY]
    runs[3] = [float(NOISY[3])] + [0.0] * 9
    often = estimates(NOISY, runs)
    assert often.values[3] < estimates(NOISY).values[3]
    assert often.error(3, 4) < often.error(4, 5) == pytest.approx(often.noise)


@pytest.mark.parametrize(("place", "stays"), [(19, True), (0, False)])
def test_the_default_stays_unless_another_is_better_by_more_than_the_noise(place, stays):
    runs = [[float(cost)] for cost in NOISY]
    chosen = winner(runs, estimates(NOISY), place)
    assert (chosen == place) == stays
    assert TRUE[chosen] <= TRUE[place] + 0.01


def test_the_default_is_repeated_beside_the_finalists():
    runs = [[float(n)] for n in range(9)]
    assert next_repeat([[0.0, 1.0], *([float(n), 1.0] for n in range(1, 5)), *runs[5:]], 3, baseline=8) == 8
    assert next_repeat(runs, 0, baseline=8) is None
    again = [*records(NOISY, baseline=0)]
    order = [item.first.number for item in ranked_configurations(again, COST)][:5]
    assert 0 not in order
    running = []
    for left in range(6, 0, -1):
        running.append(to_repeat(again, COST, left, running))
    assert set(running) == {0, *order}


def test_settled_configurations_have_the_shipped_one_first():
    found = ranked_configurations(records(NOISY, baseline=19), COST)
    settled = settled_configurations(found, COST, ENCODING)
    assert settled[0].first.number == 19
    assert sorted(item.first.number for item in settled) == list(range(30))
    rest = [item.first.number for item in found if item.first.number != 19]
    assert [item.first.number for item in settled[1:]] == rest
    limited = (Objective(metric="loss", goal="minimize", limit=-1.0),)
    assert settled_configurations(found, limited, ENCODING) == found


def stopped(number, cost, converged=False, **more):
    """Return a trial that the scheduler stopped."""
    params = {"x": 0.5 + number / 1000}
    return TrialRecord(number, params, "pruned", values=(cost,), converged=converged, **more)


def test_a_trial_that_no_longer_improved_may_be_shipped():
    """Patience only saves epochs; a trial that lost a comparison was not trained to its end."""
    whole = records(np.linspace(0.20, 0.19, 12), baseline=None)
    good = [stopped(number, 0.1 - number / 1000, converged=True) for number in range(12, 20)]
    found = ranked_configurations([*whole, *good], COST)
    assert settled_configurations(found, COST, ENCODING)[0].first.number == found[0].first.number == 19
    assert to_repeat([*whole, *good], COST, 5, []) == 19
    cut = [stopped(number, 0.1 - number / 1000) for number in range(12, 20)]
    found = ranked_configurations([*whole, *cut], COST)
    assert found[0].first.number == 19
    assert settled_configurations(found, COST, ENCODING)[0].first.state == "complete"


def test_a_trial_that_lost_a_comparison_is_not_repeated_where_it_cannot_win():
    whole = records(np.linspace(0.20, 0.19, 12), baseline=None)
    cut = stopped(12, 0.1)
    assert to_repeat([*whole, cut], COST, 5, []) == 11
    # Below that number of whole trials it may win, as before.
    assert to_repeat([*whole[: FEWEST - 1], cut], COST, 5, []) == 12


def test_a_part_of_a_run_is_not_averaged_with_whole_repeats():
    whole = records(np.linspace(0.20, 0.19, 12), baseline=None)
    cut = stopped(12, 0.5)
    again = TrialRecord(13, cut.params, "complete", values=(0.1,), repeat_of=12, repeat=1)
    found = ranked_configurations([*whole, cut, again], COST)
    assert (found[0].first.number, found[0].values, [run.number for run in found[0].runs]) == (12, (0.1,), [13])
    assert not found[0].partial
    (alone,) = ranked_configurations([cut], COST)
    assert (alone.values, alone.partial) == ((0.5,), True)
    whole_run = stopped(12, 0.5, converged=True)
    (both,) = ranked_configurations([whole_run, again], COST)
    assert both.values == (pytest.approx(0.3),)


@pytest.mark.parametrize(
    ("costs", "chance", "first"),
    [
        # Within the error, and beyond it.
        ([0.131, 0.128, 0.14], 0.005, 0),
        ([0.131, 0.121, 0.14], 0.005, 1),
        ([0.131, 0.128, 0.14], None, 1),
        ([0.12, 0.128, 0.14], 0.005, 0),
    ],
)
def test_few_results_replace_the_default_only_beyond_the_chance_of_the_validation_items(costs, chance, first):
    found = ranked_configurations(records(costs), COST)
    settled = settled_configurations(found, COST, ENCODING, None if chance is None else lambda value: chance)
    assert settled[0].first.number == first
    assert sorted(item.first.number for item in settled) == [0, 1, 2]


def test_a_default_that_lost_a_comparison_or_is_beyond_a_limit_is_not_kept():
    cut = [stopped(0, 0.131, baseline=True), *records([0.2, 0.128], baseline=None)[1:]]
    found = ranked_configurations(cut, COST)
    assert settled_configurations(found, COST, ENCODING, lambda value: 1.0)[0].first.number == 1
    limited = (Objective(metric="loss", goal="minimize", limit=0.13),)
    found = ranked_configurations(records([0.131, 0.128]), limited)
    assert settled_configurations(found, limited, ENCODING, lambda value: 1.0)[0].first.number == 1
