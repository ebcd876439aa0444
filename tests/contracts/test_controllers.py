"""The laws of every controller."""

import json

import numpy as np
import pytest

from paddle_automl.core.errors import ConfigError
from paddle_automl.core.loading import validate
from paddle_automl.core.schema import PluginConfig
from paddle_automl.search.config import SearchConfig
from paddle_automl.search.controllers.base import CONTROLLERS, Controller, Proposer
from paddle_automl.search.records import History, Observation
from paddle_automl.space import SearchSpace
from tests.unit.search.helpers import ACCURACY, SMALL, SPACE, TWO, controller, open_study

NAMES = CONTROLLERS.names()
VARIANTS = [
    *((name, {}) for name in NAMES),
    ("bayesian", {"surrogate": "RF", "acquisition": "LCB"}),
    ("bayesian", {"surrogate": "ET", "acquisition": "PI", "window": 10}),
    ("bayesian", {"surrogate": "GBRT"}),
    *(("optuna", {"sampler": sampler}) for sampler in ("NSGAIISampler", "QMCSampler")),
    ("optuna", {"options": {"group": True, "n_startup_trials": 3}}),
]
QUICK = {"bayesian": {"initial_trials": 4}, "optuna": {}}


def options_of(name, options):
    return {**QUICK.get(name, {}), **options}


def value_of(params):
    """A made-up accuracy."""
    return 0.5 - 0.1 * abs(np.log10(params["rate"]) + 2) + 0.3 * params["drop"]


def end(study, record, accuracy):
    """End a trial: some fail, some are stopped early."""
    if record.number % 5 == 3:
        study.fail(record.number, "diverged")
    elif record.number % 5 == 4:
        study.prune(record.number, {"accuracy": accuracy / 2, "parameters": 9}, {1: accuracy / 2}, "stopped")
    else:
        study.complete(record.number, {"accuracy": accuracy, "parameters": record.number % 7}, {1: accuracy})


def run(folder, name, options, trials, *, objectives=ACCURACY, seed=0, space=SPACE, fresh=False, pending=0):
    """Return the proposals of a search; `fresh` takes a new controller for each, `pending` trials run at once."""
    make = lambda: controller(name, space=space, objectives=objectives, seed=seed, **options)  # noqa: E731
    proposals, running, own = [], [], make()
    with open_study(folder, space=space, objectives=objectives) as study:
        while len(proposals) < trials:
            record = study.ask(make() if fresh else own)
            proposals.append(record.params)
            assert space.contains(record.params)
            if record.duplicate_of is None:
                running.append(record)
            if len(running) > pending:
                first = running.pop(0)
                end(study, first, value_of(first.params) if space is SPACE else 0.5)
    return proposals


@pytest.mark.parametrize("name", NAMES)
def test_is_documented_and_configured_by_its_own_class(name):
    cls = CONTROLLERS[name]
    assert issubclass(cls, Controller)
    assert issubclass(cls.Config, PluginConfig)
    assert CONTROLLERS.summary(name)
    assert all(field.description for field in cls.Config.model_fields.values())
    with pytest.raises(ConfigError, match="unknown key"):
        validate(SearchConfig, {"controller": {"name": name, "no_such_option": 1}})


@pytest.mark.parametrize(("name", "options"), VARIANTS)
def test_proposals_are_a_function_of_seed_and_history(tmp_path, name, options):
    options = options_of(name, options)
    kept = run(tmp_path / "kept", name, options, 7)
    fresh = run(tmp_path / "fresh", name, options, 7, fresh=True)
    assert json.dumps(fresh) == json.dumps(kept)
    if name != "grid":
        assert run(tmp_path / "seed", name, options, 3, seed=1) != kept[:3]


@pytest.mark.parametrize(("name", "options"), VARIANTS)
def test_running_trials_are_no_obstacle(tmp_path, name, options):
    proposals = run(tmp_path, name, options_of(name, options), 8, pending=2)
    if "sampler" not in options:
        assert len({SPACE.canonical_key(params) for params in proposals}) == len(proposals)


@pytest.mark.parametrize("name", NAMES)
def test_two_objectives(tmp_path, name):
    assert len(run(tmp_path, name, options_of(name, {}), 7, objectives=TWO)) == 7


@pytest.mark.parametrize("name", NAMES)
def test_a_small_space_is_covered_without_waste(tmp_path, name):
    own = controller(name, space=SMALL, **options_of(name, {}))
    tried = set()
    with open_study(tmp_path, space=SMALL) as study:
        while not study.exhausted(own):
            record = study.ask(own)
            if record.duplicate_of is None:
                tried.add(SMALL.canonical_key(record.params))
                study.complete(record.number, {"accuracy": record.params["a"] / 9}, {})
        asked = len(study.records())
    assert len(tried) == 6
    if issubclass(CONTROLLERS[name], Proposer):
        assert asked == 6


@pytest.mark.parametrize("name", NAMES)
def test_one_value_is_a_space_too(tmp_path, name):
    space = SearchSpace.parse({"a": {"choice": [5]}, "b": {"int": [3, 3]}})
    assert run(tmp_path, name, options_of(name, {}), 2, space=space) == [{"a": 5, "b": 3}] * 2


@pytest.mark.parametrize("name", [name for name in NAMES if issubclass(CONTROLLERS[name], Proposer)])
def test_a_history_of_failures_only(name):
    rng = np.random.default_rng(0)
    failed = tuple(Observation(number, SPACE.sample(rng), None) for number in range(15))
    assert SPACE.contains(controller(name, **options_of(name, {})).propose(15, History(failed)))


@pytest.mark.parametrize("name", [name for name in NAMES if issubclass(CONTROLLERS[name], Proposer)])
def test_equal_costs_and_extreme_costs(name):
    rng = np.random.default_rng(0)
    params = [SPACE.sample(rng) for _ in range(12)]
    for costs in ([1.0] * 12, [10.0**power for power in range(-6, 30, 3)]):
        history = History(
            tuple(Observation(n, p, (c,)) for n, (p, c) in enumerate(zip(params, costs, strict=True)))
        )
        assert SPACE.contains(controller(name, **options_of(name, {})).propose(12, history))


def test_a_proposal_outside_the_space_is_an_error(tmp_path):
    broken = controller("random_search")
    broken.propose = lambda number, history: {"net": "plain", "rate": 5.0, "drop": 0.1, "flags": "yes"}
    with open_study(tmp_path) as study:
        with pytest.raises(RuntimeError, match="controller 'random_search' proposed"):
            study.ask(broken)
        broken.propose = lambda number, history: {"net": "plain"}
        with pytest.raises(RuntimeError, match="which is not in the search space"):
            study.ask(broken)


@pytest.mark.parametrize(("name", "options"), [("bayesian", {"initial_trials": 6}), ("optuna", {})])
def test_models_beat_random_search(tmp_path, name, options):
    """A model that learns asks, later on, for better trials than chance does."""

    def later(name, options):
        values, own = [], controller(name, **options)
        with open_study(tmp_path / name) as study:
            for _ in range(22):
                record = study.ask(own)
                values.append(value_of(record.params))
                study.complete(record.number, {"accuracy": values[-1]}, {})
        return np.mean(values[12:])

    assert later(name, options) > later("random_search", {}) + 0.03
