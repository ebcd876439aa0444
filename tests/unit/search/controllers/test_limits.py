"""Limits of objectives: controllers that learn ask for trials within them."""

import pytest

from paddle_automl.search.config import SearchConfig
from paddle_automl.search.controllers.combine import Combine
from paddle_automl.search.records import History, Observation
from paddle_automl.space import SearchSpace
from tests.unit.search.helpers import controller, open_study

LIMIT = 2.0
LIMITED = SearchConfig.model_validate(
    {"objectives": [{"metric": "accuracy"}, {"metric": "latency_ms", "limit": LIMIT}]}
).objectives
SPACE = SearchSpace.parse({"width": {"int": [1, 100]}, "depth": {"int": [1, 100]}})
LEARNERS = [
    ("annealing", {}, 26),
    ("auto", {}, 26),
    ("bayesian", {"initial_trials": 8}, 26),
    ("combine", {}, 26),
    ("evolution", {"population": 8}, 26),
    ("gaussian_process", {}, 26),
    ("local_search", {}, 26),
    ("optuna", {}, 26),
    ("optuna", {"sampler": "NSGAIISampler", "options": {"population_size": 6}}, 46),
    ("q_learning", {}, 26),
]


@pytest.mark.parametrize(("name", "options", "trials"), LEARNERS)
def test_learners_ask_for_trials_within_a_limit(tmp_path, name, options, trials):
    """Wider networks are better and slower: a fifth of all are within the limit."""
    own, within = controller(name, space=SPACE, objectives=LIMITED, **options), []
    with open_study(tmp_path, space=SPACE, objectives=LIMITED) as study:
        while len(within) < trials:
            record = study.ask(own)
            if record.duplicate_of is not None:
                continue
            latency = record.params["width"] / 10
            within.append(latency <= LIMIT)
            study.complete(record.number, {"accuracy": record.params["width"] / 100, "latency_ms": latency}, {})
    # Of random ones 2 or 3.
    assert sum(within[-12:]) >= 6


def test_optunas_samplers_know_the_limits_of_now(tmp_path):
    """Those of a search that is continued may be others, and its trials may be of another controller."""

    def seen(limit):
        second = LIMITED[1].model_copy(update={"limit": limit})
        study.ask(controller("optuna", space=SPACE, objectives=(LIMITED[0], second)))
        return [trial.constraints.get("limits") for trial in study.optuna.get_trials(deepcopy=False)[:2]]

    with open_study(tmp_path, space=SPACE, objectives=LIMITED) as study:
        for latency in (1.0, 3.0):
            record = study.ask(controller("random_search", space=SPACE, objectives=LIMITED))
            study.complete(record.number, {"accuracy": 0.5, "latency_ms": latency}, {})
        assert seen(LIMIT) == [0.0, 0.5]
        assert seen(4.0) == [0.0, 0.0]
        assert seen(None) == [None, None]


def test_combine_adds_no_part_that_is_always_beyond_the_limit():
    """Each part makes the network better and slower, two of them too slow."""
    parts = {"big": {"none": {}, "big": {}}, "huge": {"none": {}, "huge": {}}, "small": {"none": {}, "small": {}}}
    space = SearchSpace.parse({**parts, "rate": {"log": [0.1, 10.0]}})
    extra = {"none": 0.0, "small": 0.1, "big": 3.0, "huge": 5.0}
    own = Combine(Combine.Config(), space=space, objectives=LIMITED, seed=0)

    def observed(number, params):
        latency = 1.0 + sum(extra[params[part]] for part in parts)
        return Observation(number, params, (-latency, latency))

    known = [observed(0, {**dict.fromkeys(parts, "none"), "rate": 1.0})]
    for number in range(1, 12):
        known.append(observed(number, own.propose(number, History(tuple(known)))))
    # Each part is tried alone; the faster trials beyond the limit are no start for the others.
    added = [[observation.params[part] for part in parts] for observation in known]
    assert added[1:4] == [["big", "none", "none"], ["none", "huge", "none"], ["none", "none", "small"]]
    # All three together are not tried, and the neighbours are those of the best within the limit.
    assert ["big", "huge", "small"] not in added
    assert sum(observation.costs[1] <= LIMIT for observation in known[4:]) >= 4
