"""The controller that joins parts of several trials."""

from paddle_automl.search.controllers.combine import Combine
from paddle_automl.search.objective import Objective
from paddle_automl.search.records import History, Observation
from paddle_automl.space import SearchSpace

SPACE = SearchSpace.parse(
    {
        "parts.wide": {"none": {}, "wide": {}},
        "parts.net": {"none": {}, "cnn": {"filters": {"choice": [1, 2]}}},
        "rate": {"log": [0.1, 10.0]},
    }
)
ACCURACY = (Objective.model_validate({"metric": "accuracy"}),)


def trial(number, cost, **params):
    names = {"wide": "parts.wide", "net": "parts.net", "filters": "parts.net[cnn].filters", "rate": "rate"}
    return Observation(number, {names[key]: value for key, value in params.items()}, (cost,), False, 1.0)


def test_it_adds_the_best_of_each_part_to_the_best_trial_once():
    controller = Combine(Combine.Config(), space=SPACE, objectives=ACCURACY, seed=0)
    seen = (
        trial(0, 0.1, wide="wide", net="none", rate=1.0),
        trial(1, 0.3, wide="none", net="cnn", filters=1, rate=2.0),
        trial(2, 0.2, wide="none", net="cnn", filters=2, rate=3.0),
    )
    joined = {"parts.wide": "wide", "parts.net": "cnn", "parts.net[cnn].filters": 2, "rate": 1.0}
    assert controller.propose(3, History(seen)) == joined
    tried = History((*seen, Observation(3, joined, (0.4,), False, 1.0)))
    other = controller.propose(4, tried)
    assert other != joined
    assert SPACE.contains(other)
    # A failed trial has no costs, and nothing is taken from it.
    failed = Observation(3, {"parts.wide": "wide", "parts.net": "none", "rate": 5.0}, None, False, 1.0)
    assert controller.propose(4, History((seen[2], failed)))["parts.net"] == "cnn"
