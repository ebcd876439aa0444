"""Gain per second: the model of seconds, and what it changes in proposals."""

import numpy as np
import pytest
from scipy.stats import wilcoxon

from paddle_automl.core.errors import ConfigError
from paddle_automl.core.loading import validate
from paddle_automl.search.config import SearchConfig
from paddle_automl.search.controllers.base import CONTROLLERS
from paddle_automl.search.learning.cost import CostModel
from paddle_automl.search.learning.encoding import Encoding
from paddle_automl.search.learning.observations import Reader
from paddle_automl.search.records import History, Observation
from paddle_automl.space import SearchSpace
from tests.unit.search.helpers import ACCURACY, SPACE, controller

NETWORKS = SearchSpace.parse(
    {
        "width": {"int": [8, 128], "log": True},
        "depth": {"int": [1, 8]},
        "rate": {"log": [1e-4, 1.0]},
        "drop": {"float": [0, 0.5]},
        "act": {"choice": ["a", "b", "c"]},
        "mix": {"float": [0, 1]},
    }
)
ABLE = [name for name in CONTROLLERS.names() if CONTROLLERS[name].knows_seconds]


def seconds(params):
    return 2 + params["width"] * params["depth"] / 20


def observed(count, cost, space=NETWORKS, of=seconds):
    rng = np.random.default_rng(0)
    params = [space.sample(rng) for _ in range(count)]
    return tuple(Observation(n, p, (cost(p),), seconds=of(p)) for n, p in enumerate(params))


def test_seconds_are_learned_from_whole_trials():
    encoding = Encoding(NETWORKS)
    history = observed(40, lambda params: 0.5)
    odd = Observation(40, history[0].params, None, seconds=9999.0)
    stopped = Observation(41, history[1].params, (0.1,), pruned=True, seconds=0.001)
    unknown = Observation(42, history[2].params, (0.1,))
    seen = Reader(encoding, ACCURACY).read(History((*history, odd, stopped, unknown)), [1.0])
    assert seen.seconds.tolist() == [*(o.seconds for o in history), 0.0, 0.0, 0.0]
    rng = np.random.default_rng(1)
    fresh = [NETWORKS.sample(rng) for _ in range(100)]
    told = CostModel(encoding).fitted(seen)(np.array([encoding.encode(params) for params in fresh]))
    truth = np.log([seconds(params) for params in fresh])
    assert np.corrcoef(told, truth)[0, 1] > 0.95
    assert np.abs(told - truth).mean() < 0.3


def test_too_few_trials_predict_nothing_and_no_extrapolation_is_wild():
    encoding = Encoding(NETWORKS)
    few = Reader(encoding, ACCURACY).read(History(observed(3, lambda params: 0.5)), [1.0])
    rows = encoding.sample(50, np.random.default_rng(0))
    assert CostModel(encoding).fitted(few)(rows).tolist() == [0.0] * 50
    seen = Reader(encoding, ACCURACY).read(History(observed(5, lambda params: 0.5)), [1.0])
    told = CostModel(encoding).fitted(seen)(rows)
    assert told.max() <= np.log(2 * seen.seconds.max()) + 1e-9
    assert told.min() >= np.log(seen.seconds.min() / 2) - 1e-9


@pytest.mark.parametrize("name", ABLE)
def test_where_all_are_alike_the_quick_ones_are_proposed(name):
    history = History(observed(30, lambda params: (np.log10(params["rate"]) + 2) ** 2))

    def typical(aware):
        own = controller(name, space=NETWORKS)
        own.cost_aware = aware
        proposed = [own.propose(number, history) for number in range(30, 34)]
        assert all(NETWORKS.contains(params) for params in proposed)
        again = controller(name, space=NETWORKS)
        again.cost_aware = aware
        assert again.propose(33, history) == proposed[3]
        return np.mean([np.log(seconds(params)) for params in proposed])

    assert typical(True) < typical(False) - 0.3


@pytest.mark.parametrize("name", ABLE)
def test_conditional_spaces_and_equal_seconds(name):
    own, plain = controller(name), controller(name)
    own.cost_aware = True
    history = History(observed(20, lambda params: params["drop"], SPACE, lambda params: 3.0))
    for number in (20, 21):
        assert SPACE.contains(own.propose(number, history))
    if name == "gaussian_process":
        # The same for all, so it cancels out.
        assert own.propose(22, history) == plain.propose(22, history)


def test_only_controllers_that_know_seconds_take_the_option():
    assert ABLE == ["auto", "gaussian_process", "q_learning"]
    assert validate(SearchConfig, {"cost_aware": True}).cost_aware
    for chosen in ("random_search", {"name": "q_learning", "variant": "metaqnn"}):
        with pytest.raises(ConfigError, match="use auto, gaussian_process, q_learning, or cost_aware: false"):
            validate(SearchConfig, {"cost_aware": True, "controller": chosen})


def network_task(seed):
    """Return a cost: mostly the recipe decides, the best size is somewhere in the middle."""
    rng = np.random.default_rng(seed)
    rate, drop, width, depth = rng.uniform(-3, -1), rng.uniform(0.1, 0.4), rng.uniform(3.5, 6.5), rng.integers(2, 8)
    offsets, mix = rng.permutation(3) * 0.05, rng.random()

    def cost(params):
        size = 0.02 * abs(np.log2(params["width"]) - width) + 0.01 * abs(params["depth"] - depth)
        recipe = 0.08 * (np.log10(params["rate"]) - rate) ** 2 + 0.3 * (params["drop"] - drop) ** 2
        return float(size + recipe + offsets["abc".index(params["act"])] + 0.2 * (params["mix"] - mix) ** 2)

    return cost


@pytest.mark.slow
def test_the_same_quality_in_fewer_seconds():
    """After equal seconds the chosen configuration is better (Wilcoxon signed rank, false-alarm rate 5 %)."""

    def reached(seed, aware, budget=300.0):
        cost, rng = network_task(seed), np.random.default_rng(seed + 7)
        own, seen, spent = controller("auto", space=NETWORKS, seed=seed), [], 0.0
        own.cost_aware = aware
        while True:
            params = own.propose(len(seen), History(tuple(seen)))
            took = seconds(params) * float(np.exp(0.1 * rng.normal()))
            spent += took
            if spent > budget:
                return cost(min(seen, key=lambda o: o.costs).params)
            seen.append(Observation(len(seen), params, (cost(params) + 0.005 * rng.normal(),), seconds=took))

    aware, plain = (np.array([reached(seed, flag) for seed in range(24)]) for flag in (True, False))
    assert wilcoxon(aware, plain, alternative="less").pvalue < 0.05
    assert aware.mean() < 0.85 * plain.mean()
