"""The search space: parsing, conditions, translation to and from configurations."""

import json
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paddle_automl.core.errors import ConfigError
from paddle_automl.core.merging import with_overrides
from paddle_automl.space import Choice, Integer, Real, SearchSpace

SPEC = {
    "model.backbone": {
        "resnet": {
            "width": {"choice": [8, 16, 32]},
            "blocks": {"repeat": {"int": [1, 3]}, "times": {"int": [1, 3]}},
            "pool": "max",
        },
        "vgg": {"width": {"int": [8, 32], "step": 8}},
        "tiny": {},
    },
    "model.activation": {"choice": ["relu", "gelu"]},
    "training.optimizer.learning_rate": {"log": [1e-4, 1e-1]},
    "training.ema": {"choice": [None, {"decay": 0.9}]},
}
CONFIG = {
    "model": {
        "backbone": {"name": "resnet", "width": 16, "blocks": (2, 1), "pool": "max"},
        "activation": "relu",
    },
    "training": {"optimizer": {"name": "sgd", "learning_rate": 0.05}, "ema": {"decay": 0.9, "warmup": True}},
}


@pytest.fixture
def space():
    return SearchSpace.parse(SPEC)


def mistakes(spec):
    with pytest.raises(ConfigError) as caught:
        SearchSpace.parse(spec)
    return caught.value.issues


def test_decisions_stand_below_their_condition(space):
    names = [decision.name for decision in space.decisions]
    assert names == [
        "model.backbone",
        "model.backbone[resnet].width",
        "model.backbone[resnet].blocks.times",
        "model.backbone[resnet].blocks.0",
        "model.backbone[resnet].blocks.1",
        "model.backbone[resnet].blocks.2",
        "model.backbone[vgg].width",
        "model.activation",
        "training.optimizer.learning_rate",
        "training.ema",
    ]
    third = space["model.backbone[resnet].blocks.2"]
    assert third.key == "model.backbone.blocks"
    assert third.condition.decision == "model.backbone[resnet].blocks.times"
    assert third.condition.values == (3,)


def test_params_of_and_overrides_are_inverse(space):
    params = space.params_of(CONFIG)
    assert params == {
        "model.backbone": "resnet",
        "model.backbone[resnet].width": 16,
        "model.backbone[resnet].blocks.times": 2,
        "model.backbone[resnet].blocks.0": 2,
        "model.backbone[resnet].blocks.1": 1,
        "model.activation": "relu",
        "training.optimizer.learning_rate": 0.05,
        "training.ema": '{"decay":0.9}',
    }
    overrides = space.overrides(params)
    assert list(overrides.items())[:4] == [
        ("model.backbone", "resnet"),
        ("model.backbone.width", 16),
        ("model.backbone.blocks", [2, 1]),
        ("model.backbone.pool", "max"),
    ]
    assert overrides["training.ema"] == {"decay": 0.9}
    assert space.params_of(with_overrides(CONFIG, overrides)) == params


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**31), other=st.integers(0, 2**31))
def test_every_sample_survives_the_way_through_the_configuration(seed, other):
    space = SearchSpace.parse(SPEC)
    params = space.sample(np.random.default_rng(seed))
    assert space.contains(params)
    assert space.params_of(with_overrides(CONFIG, space.overrides(params))) == params
    second = space.sample(np.random.default_rng(other))
    assert (space.canonical_key(params) == space.canonical_key(second)) == (params == second)
    assert space.canonical_key(json.loads(json.dumps(params))) == space.canonical_key(params)


def test_another_option_leaves_nothing_of_the_old_one(space):
    params = {**space.params_of(CONFIG), "model.backbone": "vgg", "model.backbone[vgg].width": 24}
    params = space.complete(params)
    assert "model.backbone[resnet].width" not in params
    changed = with_overrides(CONFIG, space.overrides(params))
    assert changed["model"]["backbone"] == {"name": "vgg", "width": 24}


def test_size_counts_conditional_combinations():
    # resnet: 3 widths x (3 + 9 + 27 lists), vgg: 8, 16, 24, 32, tiny: 1; times 2 activations, 2 ema.
    finite = {key: domain for key, domain in SPEC.items() if "learning_rate" not in key}
    space = SearchSpace.parse(finite)
    assert space.size() == (3 * 39 + 4 + 1) * 2 * 2
    grid = list(space.grid(100))
    assert len({space.canonical_key(params) for params in grid}) == len(grid) == space.size()
    assert all(space.contains(params) for params in grid)
    assert SearchSpace.parse(SPEC).size() is None


def test_grid_thins_out_numbers_without_a_step_only():
    space = SearchSpace.parse({"a": {"int": [1, 9]}, "b": {"float": [0, 1], "step": 0.25}})
    grid = list(space.grid(3))
    assert [params["b"] for params in grid[:5]] == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert sorted({params["a"] for params in grid}) == [1, 5, 9]


def test_corners_are_the_smallest_and_largest_of_each_option(space):
    corners = space.corners()
    assert all(space.contains(params) for params in corners)
    resnets = [p for p in corners if p["model.backbone"] == "resnet"]
    assert [p["model.backbone[resnet].width"] for p in resnets] == [8, 32]
    assert [p["model.backbone[resnet].blocks.times"] for p in resnets] == [1, 3]
    assert resnets[1]["model.backbone[resnet].blocks.2"] == 3
    assert len(corners) == 6


def test_repeated_parts_may_be_named_layers():
    space = SearchSpace.parse(
        {"layers": {"repeat": {"conv": {"width": {"choice": [8, 16]}}, "pool": {"size": 2}}, "times": 2}}
    )
    assert space.size() == 9
    config = {"layers": [{"name": "conv", "width": 8}, {"name": "pool", "size": 2}]}
    params = space.params_of(config)
    assert params == {"layers.0": "conv", "layers.0[conv].width": 8, "layers.1": "pool"}
    assert space.overrides(params) == config


def test_a_name_comes_before_the_keys_below_it():
    space = SearchSpace.parse({"opt.learning_rate": {"log": [1e-3, 1]}, "opt": {"choice": ["sgd", "adam"]}})
    assert list(space.overrides({"opt": "adam", "opt.learning_rate": 0.1})) == ["opt", "opt.learning_rate"]
    assert space.params_of({"opt": {"name": "sgd", "learning_rate": 0.5}})["opt"] == "sgd"


def test_baseline_outside_the_space_names_key_value_and_domain(space):
    config = with_overrides(
        CONFIG, {"model.backbone.width": 12, "training.optimizer.learning_rate": 0.5, "model.activation": "elu"}
    )
    with pytest.raises(ConfigError) as caught:
        space.params_of(config)
    width, activation, rate = caught.value.issues
    assert "model.backbone.width: 12 is not among [8, 16, 32]" in width
    assert all(issue.endswith("change the value or the domain") for issue in caught.value.issues)
    assert "model.activation: 'elu' is not among" in activation
    assert "training.optimizer.learning_rate: 0.5 is not in {log: [0.0001, 0.1]}" in rate


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model.backbone": "inception"}, "model.backbone: 'inception' is not among the search space's options"),
        ({"model.backbone.blocks": [1, 1, 1, 1]}, "model.backbone.blocks: has 4 items, the search space allows"),
        ({"model.backbone.blocks": [1, 7]}, "model.backbone.blocks.1: 7 is not in {int: [1, 3]}"),
        ({"model.backbone.blocks": 2}, "model.backbone.blocks: must be a list"),
        ({"model.backbone.pool": "avg"}, "model.backbone.pool: 'avg' is not 'max'"),
        ({"model.backbone.width": True}, "model.backbone.width: True is not among"),
    ],
)
def test_baseline_mistakes(space, change, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        space.params_of(with_overrides(CONFIG, change))


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("training.epoch", "varies training.epoch, but the configuration has no such key; did you mean 'epochs'?"),
        ("training.xyz", "has no such key; valid: epochs, batch_size"),
        (
            "training.epochs.low",
            "varies training.epochs.low, but the configuration has no such key; valid: no keys",
        ),
        ("data.augment.2.padding", "has no such key; the list there has 1 items"),
        ("data.augment.².padding", "has no such key; the list there has 1 items"),
    ],
)
def test_a_key_that_the_configuration_does_not_have(key, message):
    config = {"training": {"epochs": 1, "batch_size": 8}, "data": {"augment": [{"name": "crop"}]}}
    with pytest.raises(ConfigError, match=re.escape(message)) as caught:
        SearchSpace.parse({key: {"int": [1, 3]}}).params_of(config)
    assert "the domain" not in str(caught.value)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"a": 3}, "search.space.a: must be a domain, got 3"),
        ({"a": [1, 2]}, "did you mean {choice: [1, 2]}?"),
        ({"a": {"choice": []}}, "choice must be a list of options"),
        ({"a": {"choice": [1, 1]}}, "the options 1 and 1 are the same"),
        ({"a": {"choice": [1, True]}}, "the options 1 and True are the same"),
        ({"a": {"choice": [[1], "[1]"]}}, "are the same"),
        ({"a": {"int": [1, 9], "stepp": 2}}, "unknown key 'stepp' next to 'int'; did you mean 'step'?"),
        ({"a": {"int": [9, 1]}}, "the lowest value 9 is above the highest 1"),
        ({"a": {"int": [1, 2.5]}}, "int needs two whole numbers"),
        ({"a": {"int": [1]}}, "int needs [lowest, highest], two numbers"),
        ({"a": {"int": [0, 9], "log": True}}, "a log domain must begin at 1 or above"),
        ({"a": {"int": [1, 9], "log": True, "step": 2}}, "step and log cannot be combined"),
        ({"a": {"log": [0, 1]}}, "a log domain must begin above 0, got 0"),
        ({"a": {"float": ["x", 1]}}, "float needs [lowest, highest], two numbers, got ['x', 1]"),
        ({"a": {"float": [0, 1], "step": -1}}, "step must be a number above 0, got -1"),
        ({"a": {"repeat": {"int": [1, 2]}}}, "repeat needs times"),
        ({"a": {"repeat": {"int": [1, 2]}, "times": {"float": [0, 1]}}}, "a.times: must be a whole number"),
        ({"a": {}}, "search.space.a: is empty"),
        ({"a": {"width": {"int": [1, 2]}}}, "'width' is taken as an option's name"),
        ({"a": {"x": 3}}, "'x' is taken as an option's name"),
        ({"a": {"x": {"name": {"int": [1, 2]}}}}, "search.space.a.x.name: is not a key of an option"),
        ({"a..b": {"int": [1, 2]}}, "'a..b' is not a dotted key"),
        ({"a": {"x": {"w": {"int": [1, 2]}}}, "a.w": {"int": [1, 2]}}, "search.space.a.w: is varied twice"),
        ({"a": {"repeat": {"int": [1, 2]}, "times": 2}, "a.0": {"int": [1, 2]}}, "is a repeated list"),
        ({}, "must be a mapping of dotted keys to domains"),
    ],
)
def test_mistakes_are_named(spec, message):
    assert any(message in issue for issue in mistakes(spec)), mistakes(spec)


def test_all_mistakes_are_listed_at_once():
    issues = mistakes({"a": 3, "b": {"log": [0, 1]}, "c": {"x": {"w": {"int": [2, 1]}, "v": {"choice": []}}}})
    assert [issue.split(":")[0] for issue in issues] == [
        "search.space.a",
        "search.space.b",
        "search.space.c.x.w",
        "search.space.c.x.v",
    ]


def test_steps_have_one_spelling():
    domain = Real(0.0, 1.0, step=0.1)
    assert domain.size == 11
    assert domain.clean(0.1 + 0.2) == 0.3
    assert domain.clean(0.30000000000000004) == domain.values(2)[3] == 0.3
    with pytest.raises(ValueError, match="is not in"):
        domain.clean(0.35)
    assert Real(0.0, 1.0, step=0.3).high == 0.9
    assert Integer(1, 10, step=4).high == 9


@pytest.mark.parametrize(
    "domain",
    [
        Choice((1, None, "x", [1, 2], {"a": 1})),
        Integer(1, 1000, log=True),
        Integer(3, 17, step=7),
        Real(1e-5, 1.0, log=True),
        Real(-1.0, 1.0),
        Real(0.0, 0.5, step=0.05),
        Integer(4, 4),
    ],
)
def test_samples_lie_in_the_domain_and_in_its_distribution(domain):
    rng = np.random.default_rng(0)
    for value in [*(domain.sample(rng) for _ in range(200)), *domain.values(5), *domain.ends()]:
        assert domain.contains(value)
        assert domain.distribution._contains(domain.distribution.to_internal_repr(value))
        assert domain.encode(domain.decode(value)) == value


def test_logarithmic_samples_are_even_in_the_logarithm():
    rng = np.random.default_rng(0)
    drawn = np.array([Real(1e-4, 1e-2, log=True).sample(rng) for _ in range(2000)])
    assert 0.46 < np.mean(drawn < 1e-3) < 0.54


def test_an_option_with_more_keys_fits_better():
    domain = Choice(({"name": "sgd"}, {"name": "sgd", "nesterov": True}))
    assert domain.encode({"name": "sgd", "nesterov": True, "rate": 1}) == domain.stored[1]
    assert domain.encode({"name": "sgd", "nesterov": False}) == domain.stored[0]


@pytest.mark.parametrize(
    ("fixed", "given"),
    [
        ("adam", {"name": "adam", "beta1": 0.9}),
        (["flip", {"name": "crop", "padding": 2}], ({"name": "flip"}, {"name": "crop", "padding": 2, "fill": 0})),
        ([1, 2], (1, 2)),
        (2, 2.0),
    ],
)
def test_a_fixed_value_accepts_the_section_that_it_makes(fixed, given):
    """As an option of a choice does: a configuration holds whole sections where the space names a plugin."""
    space = SearchSpace.parse({"training.optimizer": {"sam": {"base": fixed, "radius": {"float": [0.01, 0.1]}}}})
    config = {"training": {"optimizer": {"name": "sam", "radius": 0.05, "base": given}}}
    assert space.params_of(config) == {"training.optimizer": "sam", "training.optimizer[sam].radius": 0.05}


@pytest.mark.parametrize(
    ("fixed", "given"),
    [("adam", {"name": "sgd"}), (["flip"], [{"name": "crop"}])],
)
def test_another_value_than_the_fixed_one_is_named(fixed, given):
    space = SearchSpace.parse({"training.optimizer": {"sam": {"base": fixed}}})
    with pytest.raises(ConfigError, match=r"training\.optimizer\.base: .*, the only value in the search space"):
        space.params_of({"training": {"optimizer": {"name": "sam", "base": given}}})
