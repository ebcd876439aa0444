"""Configurations of runs: any value of any key is valid, or is refused by a ConfigError."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from paddle_automl.core.describe import all_options
from paddle_automl.core.errors import ConfigError
from paddle_automl.core.loading import load_config, parse_overrides, validate
from paddle_automl.core.yaml_io import dump_yaml, parse_value, read_yaml
from paddle_automl.pipeline.config import RunConfig
from paddle_automl.pipeline.space import baseline_of, make_space
from tests.fuzz.damage import MANY, SAMPLE, only_two_ends

CONFIGS = Path(__file__).parents[2] / "configs"
FILES = sorted(CONFIGS.glob("*.yaml"))


def _keys(value: Any, start: str = "") -> list[str]:
    found = []
    for key, item in value.items() if isinstance(value, dict) else ():
        found += [start + key, *_keys(item, f"{start}{key}.")]
    return found


OPTIONS = list(all_options(RunConfig))
WRITTEN = {key for file in CONFIGS.rglob("*.yaml") for key in _keys(read_yaml(file)[0]) if not key.startswith("_")}
# Plugins are programs, which are not imported at random.
KEYS = sorted(
    {item.key for item in OPTIONS} | WRITTEN - {"plugins"} | {"model.backbone.width", "data.input.size", "x.y"}
)
KEYS.remove("plugins")
SECTIONS = sorted({key.split(".")[0] for key in KEYS})
VALUES = (
    None,
    True,
    -1,
    0,
    1e308,
    float("nan"),
    "",
    "x\x00y",
    [],
    {},
    [[1]],
    {"choice": []},
    {"name": "x"},
    "9" * 1500,
)
NAMES = sorted({word for item in OPTIONS for word in item.type.replace("|", " ").split() if word.isidentifier()})
"""Names of plugins and of choices, which are right for some key."""

numbers = st.integers(-3, 70) | st.integers() | st.floats() | st.sampled_from([0.0, 0.5, 1.0, 1e-3, 2**63, 10**400])
texts = (
    st.sampled_from(NAMES)
    | st.text(max_size=6)
    | st.sampled_from(["10s", "3min", "accuracy", "f1[cat]", "gpu:0", "a-b", "1e", ".5."])
)
leaves = st.none() | st.booleans() | numbers | texts
domains = st.sampled_from(
    ["choice", "int", "float", "log", "repeat", "times", "step", "name", "width", "learning_rate"]
)
trees = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(domains | st.sampled_from(KEYS) | texts, inner, max_size=3)
        | st.fixed_dictionaries({"name": st.sampled_from(NAMES)}, optional={"width": inner, "size": inner})
    ),
    max_leaves=6,
)
overrides = st.dictionaries(st.sampled_from(KEYS), trees, min_size=1, max_size=3)


def use(config: RunConfig) -> None:
    """Do what a command does with a configuration before it looks at the data."""
    config.epoch_metrics()
    if config.search.space is not None:
        space = make_space(config)
        size = space.size()
        assert size is None or size > 0
        baseline_of(config, space)
    # What is valid can be written and read again, and stays what it was.
    assert repr(validate(RunConfig, parse_value(dump_yaml(config.as_dict())))) == repr(config)


def one(file: Path, changes: dict[str, Any]) -> None:
    only_two_ends(lambda: use(load_config(RunConfig, file, changes)), ConfigError)


def words(file: Path, key: str, text: str) -> None:
    only_two_ends(lambda: use(load_config(RunConfig, file, parse_overrides([f"{key}={text}"]))), ConfigError)


files = st.sampled_from(FILES)
written = st.text(max_size=8) | trees.map(dump_yaml)
quick = settings(max_examples=SAMPLE // 2, deadline=None, suppress_health_check=[HealthCheck.too_slow])
many = settings(max_examples=2 * MANY, deadline=None, suppress_health_check=[HealthCheck.too_slow])
test_values = quick(given(files, overrides)(one))
test_words = quick(given(files, st.sampled_from(KEYS), written)(words))
test_many_values = pytest.mark.slow(many(given(files, overrides)(one)))
test_many_words = pytest.mark.slow(many(given(files, st.sampled_from(KEYS), written)(words)))


def every_value(keys: list[str], shift: int, step: int) -> None:
    for number, key in enumerate(keys):
        for value in VALUES[(number + shift) % step :: step]:
            one(FILES[number % len(FILES)], {key: value})


@pytest.mark.parametrize("section", SECTIONS)
def test_keys_with_values_of_every_kind(section):
    every_value([key for key in KEYS if key.split(".")[0] == section], 0, 7)


@pytest.mark.slow
@pytest.mark.parametrize("shift", range(3))
def test_all_keys_with_all_values(shift):
    every_value(KEYS, shift, 1)
