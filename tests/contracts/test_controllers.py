"""Every controller against its contract, and what those of the package keep beyond it."""

import random

import numpy as np
import pytest

from paddle_automl.search.controllers.base import CONTROLLERS
from paddle_automl.testing.controllers import SMALL, ControllerContract, value_of
from tests.unit.search.helpers import controller, open_study

NAMES = CONTROLLERS.names()
VARIANTS = [
    ("bayesian", {"surrogate": "RF", "acquisition": "LCB"}),
    ("bayesian", {"surrogate": "ET", "acquisition": "PI", "window": 10}),
    ("bayesian", {"surrogate": "GBRT"}),
    *(("optuna", {"sampler": sampler}) for sampler in ("NSGAIISampler", "QMCSampler")),
    ("optuna", {"options": {"group": True, "n_startup_trials": 3}}),
]
QUICK = {"bayesian": {"initial_trials": 4}, "optuna": {}}


def contract_of(name, options=None):
    """Return the contract with the options of a variant."""
    contract = ControllerContract()
    contract.options = {**QUICK.get(name, {}), **(options or {})}
    # Optuna's samplers repeat themselves, apart from the default one.
    contract.repeats = "sampler" in contract.options
    return contract


@pytest.mark.parametrize("plugin", [CONTROLLERS[name] for name in NAMES], ids=NAMES)
class TestControllers(ControllerContract):
    @pytest.fixture(autouse=True)
    def _use(self, plugin):
        self.options = QUICK.get(plugin.name, {})
        self.seeded = plugin.name != "grid"

    def test_a_small_space_is_covered(self, plugin, tmp_path):
        own, tried = self.make(plugin, space=SMALL), set()
        with open_study(tmp_path, space=SMALL) as study:
            while not study.exhausted(own):
                record = study.ask(own)
                if record.duplicate_of is None:
                    tried.add(SMALL.canonical_key(record.params))
                    study.complete(record.number, {"accuracy": record.params["a"] / 9}, {})
        assert len(tried) == 6


@pytest.mark.parametrize(("name", "options"), VARIANTS)
def test_variants_propose_as_a_function_of_seed_and_history(tmp_path, name, options):
    contract_of(name, options).test_proposals_are_a_function_of_seed_and_history(CONTROLLERS[name], tmp_path)


@pytest.mark.parametrize(("name", "options"), VARIANTS)
def test_variants_do_not_wait_for_running_trials(tmp_path, name, options):
    contract_of(name, options).test_running_trials_are_no_obstacle(CONTROLLERS[name], tmp_path)


class Walk(CONTROLLERS["random_search"]):
    """May come back to where it was, and is content with two places."""

    def propose(self, number, history):
        return self.space.sample(self.rng(number % 5))

    def exhausted(self, history):
        return len(history.keys(self.space)) >= 2


@pytest.mark.parametrize("plugin", [Walk])
class TestThatRepeats(ControllerContract):
    repeats = True


class Moody(CONTROLLERS["random_search"]):
    """Draws from the generator of the process."""

    def propose(self, number, history):
        return self.space.sample(np.random.default_rng(random.getrandbits(30)))


class Deaf(CONTROLLERS["random_search"]):
    """Does not look at the history."""

    def propose(self, number, history):
        return self.space.sample(self.rng(0))


class Outside(CONTROLLERS["random_search"]):
    """Forgets a decision."""

    def propose(self, number, history):
        return dict(list(super().propose(number, history).items())[:1])


class Endless(Walk):
    """Never ends a search."""

    def exhausted(self, history):
        return False


def test_a_controller_whose_proposals_cannot_be_repeated_is_caught(tmp_path):
    with pytest.raises(AssertionError, match="a new controller proposes other trials"):
        ControllerContract().test_proposals_are_a_function_of_seed_and_history(Moody, tmp_path)


def test_a_controller_that_repeats_itself_is_caught(tmp_path):
    with pytest.raises(AssertionError, match="a proposal is repeated; if it may, set repeats = True"):
        ControllerContract().test_running_trials_are_no_obstacle(Deaf, tmp_path)


def test_a_controller_that_leaves_the_space_is_caught(tmp_path):
    with pytest.raises(RuntimeError, match="which is not in the search space"):
        ControllerContract().test_several_objectives(Outside, tmp_path)


def test_a_controller_that_never_ends_is_caught(tmp_path):
    with pytest.raises(AssertionError, match="the space of 6 is not exhausted after 100 proposals"):
        TestThatRepeats().test_a_small_space_comes_to_an_end(Endless, tmp_path)


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
