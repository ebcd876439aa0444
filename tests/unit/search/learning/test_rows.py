"""Rows of numbers for choices, moves between them, and what a history says."""

import numpy as np
import pytest
from scipy.stats import yeojohnson

from paddle_automl.search.learning.bins import Bins
from paddle_automl.search.learning.encoding import Encoding
from paddle_automl.search.learning.moves import mutate, neighbours
from paddle_automl.search.learning.observations import Reader
from paddle_automl.search.learning.rewards import even_out, normal_scores, power_transform, rank_rewards
from paddle_automl.search.objective import Objective
from paddle_automl.search.records import History, Observation
from paddle_automl.space import SearchSpace
from tests.unit.search.controllers.test_learners import SPACE
from tests.unit.search.helpers import ACCURACY

ENCODING = Encoding(SPACE)


def test_choices_survive_the_way_to_rows_and_back():
    rng = np.random.default_rng(0)
    for _ in range(300):
        params = SPACE.sample(rng)
        row = ENCODING.encode(params)
        back = ENCODING.decode(row)
        assert back.keys() == params.keys()
        for name, value in params.items():
            assert back[name] == pytest.approx(value) if isinstance(value, float) else back[name] == value
            assert type(back[name]) is type(value)
        assert np.allclose(ENCODING.encode(back), row)


def test_rows_of_all_kinds_stand_for_members_of_the_space():
    rng = np.random.default_rng(0)
    rows = np.vstack([ENCODING.sample(200, rng), ENCODING.latin_hypercube(50, rng)])
    moved = mutate(ENCODING, rows, rng.integers(1, 5, len(rows)), np.full(len(rows), 0.1), rng, redraw=0.2)
    near, counts = neighbours(ENCODING, rows[:40], rng, (0.2, 0.02))
    assert counts.sum() == len(near)
    for row in (*rows, *moved, *near):
        params = ENCODING.decode(row)
        assert SPACE.contains(params)
        assert np.allclose(ENCODING.encode(params), row)


def test_a_mutation_changes_as_many_active_decisions_as_asked():
    rng = np.random.default_rng(0)
    space = SearchSpace.parse({f"d{i}": {"choice": ["a", "b", "c"]} for i in range(5)} | {"n": {"int": [1, 9]}})
    encoding = Encoding(space)
    rows = encoding.sample(200, rng)
    for count in (1, 3, 6):
        moved = mutate(encoding, rows, np.full(200, count), np.full(200, 0.01), rng)
        assert ((moved != rows).sum(axis=1) == count).all()


def test_numbers_have_an_order_and_options_have_none():
    space = SearchSpace.parse(
        {
            "a": {"choice": [64, 8, 16]},
            "b": {"choice": [8, "x", 16]},
            "c": {"choice": [1, 2]},
            "d": {"int": [1, 100], "log": True},
            "e": {"float": [0, 1], "step": 0.25},
        }
    )
    encoding = Encoding(space)
    assert encoding.categories.tolist() == [False, True, True, False, False]
    row = encoding.encode({"a": 16, "b": "x", "c": 2, "d": 10, "e": 0.75})
    assert row == pytest.approx([0.5, 1.0, 1.0, 0.5, 0.75])


def test_a_latin_hypercube_covers_every_range():
    space = SearchSpace.parse({"x": {"float": [0, 1]}, "y": {"choice": ["a", "b"]}})
    rows = Encoding(space).latin_hypercube(10, np.random.default_rng(0))
    assert sorted((rows[:, 0] * 10).astype(int)) == list(range(10))
    assert rows[:, 1].sum() == 5


def test_small_spaces_are_listed_completely():
    space = SearchSpace.parse({"a": {"choice": ["x", "y"]}, "b": {"int": [1, 3]}})
    rows = Encoding(space).everything(6)
    assert len({space.canonical_key(Encoding(space).decode(row)) for row in rows}) == 6
    assert Encoding(space).everything(5) is None
    assert ENCODING.everything(10**9) is None


@pytest.mark.parametrize("domain", [{"int": [0, 19]}, {"float": [0, 1]}, {"int": [1, 40], "log": True}])
def test_every_part_of_a_range_holds_the_values_that_count_to_it(domain):
    encoding = Encoding(SearchSpace.parse({"x": domain}))
    bins = Bins(encoding, 6)
    for choice in range(6):
        for uniform in (0.0, 0.3, 0.999):
            coordinate = bins.coordinate(0, choice, uniform)
            assert bins.choice(0, coordinate) == choice
            assert np.allclose(encoding.encode(encoding.decode(np.array([coordinate]))), coordinate)


def test_the_history_as_costs():
    objectives = (Objective(metric="accuracy", goal="maximize", limit=0.5),)
    rng = np.random.default_rng(0)
    params = [SPACE.sample(rng) for _ in range(5)]
    seen = [(-0.9,), None, (-0.4,), (-0.6,), (float("inf"),)]
    history = History(tuple(Observation(n, p, c) for n, (p, c) in enumerate(zip(params, seen, strict=True))))
    read = Reader(ENCODING, objectives).read(history, [1.0])
    # Within the limit 0.5: trials 0 and 3. Trial 2 breaks it by a fifth; failed ones are as bad as it.
    assert read.costs[[0, 3]].tolist() == [-0.9, -0.6]
    assert read.costs[2] > -0.4
    assert read.costs[1] == read.costs[4] == read.costs[2]
    assert read.best[:2].tolist() == [0, 3]
    assert read.usable == 3


def test_repeats_of_a_configuration_count_by_their_mean():
    rng = np.random.default_rng(0)
    lucky, good = SPACE.sample(rng), SPACE.sample(rng)
    costs = [(lucky, 0.1), (good, 0.3), (lucky, 0.9)]
    history = History(tuple(Observation(n, p, (c,)) for n, (p, c) in enumerate(costs)))
    assert Reader(ENCODING, ACCURACY).read(history, [1.0]).best.tolist() == [1, 0]


def test_rewards():
    assert rank_rewards(np.array([3.0, 1.0, 2.0])).tolist() == [0.0, 1.0, 0.5]
    scores = normal_scores(np.array([1.0, 5.0, 9.0]))
    assert scores == pytest.approx([0.9674, 0.0, -0.9674], abs=1e-4)
    assert even_out(np.full(6, 0.1)).tolist() == [0.0] * 6
    tails = even_out(10.0 ** np.arange(-3, 30, dtype=float))
    assert np.isfinite(tails).all()
    assert (np.diff(tails) >= 0).all()


@pytest.mark.parametrize("power", [-1.5, 0.0, 0.7, 2.0, 3.0])
def test_the_power_transform_is_yeo_and_johnsons(power):
    values = np.random.default_rng(0).normal(size=40) * 2
    assert np.allclose(power_transform(values, np.array([power]))[0], yeojohnson(values, power))


def test_costs_are_evened_out_by_the_likeliest_power():
    for costs in (np.random.default_rng(1).exponential(size=80), np.random.default_rng(2).normal(size=30)):
        expected, _ = yeojohnson((costs - costs.mean()) / costs.std())
        assert np.allclose(even_out(costs), (expected - expected.mean()) / expected.std(), atol=0.02)


def test_spaces_of_choices_alone_begin_with_more_trials():
    letters = {"choice": ["a", "b", "c", "d", "e"]}
    for spec, trials in [
        ({"x": letters, "y": letters}, 10),
        ({"x": letters, "y": {"choice": ["a"]}}, 10),
        ({"x": {"choice": ["a", "b"]}}, 6),
        ({"x": {"choice": list("abcdefgh")}}, 10),
        ({"x": letters, "y": {"float": [0, 1]}}, 6),
        ({"x": {"choice": [1, 2, 4, 8, 16]}}, 6),
        ({"x": {"choice": ["a"]}}, 6),
    ]:
        assert Encoding(SearchSpace.parse(spec)).start == trials
