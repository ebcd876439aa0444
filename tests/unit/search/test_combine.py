"""The controller that builds a sum of parts step by step."""

from paddle_automl.search.controllers.combine import Combine
from paddle_automl.search.objective import Objective
from paddle_automl.search.records import History, Observation
from paddle_automl.space import SearchSpace

SPACE = SearchSpace.parse(
    {
        "parts.wide": {"none": {}, "wide": {}},
        "parts.net": {"none": {}, "cnn": {"filters": {"choice": [1, 2, 3]}}},
        "rate": {"log": [0.1, 10.0]},
    }
)
ACCURACY = (Objective.model_validate({"metric": "accuracy"}),)
NAMES = {"wide": "parts.wide", "net": "parts.net", "filters": "parts.net[cnn].filters", "rate": "rate"}


def params(**values):
    return {NAMES[key]: value for key, value in values.items()}


def history(*trials, running=()):
    found = [Observation(number, given, costs, False, 1.0) for number, (given, costs) in enumerate(trials)]
    return History(tuple(found), tuple(running))


def propose(known):
    return Combine(Combine.Config(), space=SPACE, objectives=ACCURACY, seed=0).propose(len(known.finished), known)


LINEAR = params(wide="none", net="none", rate=1.0)


def test_parts_are_added_one_at_a_time_to_the_best():
    better = params(wide="none", net="none", rate=2.0)
    known = history((LINEAR, (0.3,)), (better, (0.2,)))
    wide = params(wide="wide", net="none", rate=2.0)
    assert propose(known) == wide
    # A part that a running trial has is not added a second time.
    known = history((LINEAR, (0.3,)), (better, (0.2,)), running=[wide])
    assert propose(known) == params(wide="none", net="cnn", filters=2, rate=2.0)


def test_all_parts_are_joined_as_the_best_trials_have_them():
    trials = (
        (params(wide="wide", net="none", rate=1.0), (0.1,)),
        (params(wide="none", net="cnn", filters=1, rate=2.0), (0.3,)),
        (params(wide="none", net="cnn", filters=2, rate=3.0), (0.2,)),
    )
    joined = params(wide="wide", net="cnn", filters=2, rate=1.0)
    assert propose(history(*trials)) == joined
    other = propose(history(*trials, (joined, (0.4,))))
    assert other != joined
    assert SPACE.contains(other)


def test_a_value_that_was_better_in_a_pair_is_taken_over():
    trials = (
        (params(wide="wide", net="cnn", filters=1, rate=1.0), (0.1,)),
        (LINEAR, (0.5,)),
        (params(wide="none", net="none", rate=4.0), (0.3,)),
    )
    assert propose(history(*trials)) == params(wide="wide", net="cnn", filters=1, rate=4.0)


def test_a_failed_trial_gives_nothing():
    failed = (params(wide="wide", net="none", rate=5.0), None)
    found = propose(history((LINEAR, (0.3,)), failed))
    assert found == params(wide="none", net="cnn", filters=2, rate=1.0)


def test_values_that_were_better_in_pairs_are_first_tried_together():
    wide = params(wide="wide", net="none", rate=1.0)
    trials = ((LINEAR, (0.5,)), (wide, (0.2,)), (params(wide="none", net="none", rate=2.0), (0.4,)))
    both = params(wide="wide", net="none", rate=2.0)
    assert propose(history(*trials)) == both
    # Then the part that none of them has is added to the best.
    assert propose(history(*trials, (both, (0.1,)))) == params(wide="wide", net="cnn", filters=2, rate=2.0)
