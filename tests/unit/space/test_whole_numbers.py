"""Fractions laid over whole numbers are named once, at their key, with the domain to write instead."""

from typing import Annotated, Literal

import pytest

from paddle_automl.core.errors import ConfigError
from paddle_automl.core.registry import Registry
from paddle_automl.core.schema import Plugin, PluginConfig, Section, Sequence, default
from paddle_automl.space.space import SearchSpace

NETS: Registry = Registry("net", "tests.unit.space", "net")


@NETS.register("thin")
class Thin:
    """Thin."""

    class Config(PluginConfig):
        width: int = 8
        """Channels."""

        rate: float = 0.1
        """Fraction."""


@NETS.register("deep")
class Deep:
    """Deep."""

    class Config(PluginConfig):
        layers: Sequence[int] = (1,)
        """Lengths."""


class Training(Section):
    batch_size: int = 64
    patience: int | None = None
    workers: int | Literal["auto"] = "auto"
    rate: float = 0.1
    share: float | Literal["auto"] = "auto"
    mixed: int | float = 1


class Root(Section):
    training: Training = Training()
    net: Annotated[PluginConfig, Plugin(NETS)] = default("thin")


def issues(**space) -> tuple[str, ...]:
    spec = {key.replace("__", "."): domain for key, domain in space.items()}
    try:
        SearchSpace.parse(spec, config=Root())
    except ConfigError as error:
        return error.issues
    return ()


@pytest.mark.parametrize(
    ("domain", "better"),
    [
        ({"log": [8, 64]}, "{int: [8, 64], log: true}"),
        ({"log": [0.5, 64.5]}, "{int: [1, 64], log: true}"),
        ({"float": [8, 64]}, "{int: [8, 64]}"),
        ({"float": [8, 64], "step": 8}, "{int: [8, 64], step: 8}"),
        ({"float": [8, 64], "step": 0.5}, "{int: [8, 64]}"),
        ({"choice": [8.0, 16, 0.5]}, "{choice: [8, 16]}"),
    ],
)
@pytest.mark.parametrize("key", ["batch_size", "patience", "workers"])
def test_a_domain_of_fractions_over_a_whole_number_is_one_message_at_its_key(key, domain, better):
    expected = (f"search.space.training.{key}: {key} is a whole number: {better}",)
    assert issues(**{f"training.{key}": domain, "training.rate": {"log": [0.1, 1]}}) == expected
    assert issues(**{f"training.{key}": {"choice": [8, 16]}}) == ()


def test_options_and_repeated_parts_are_looked_into():
    found = issues(
        net={
            "thin": {"width": {"float": [4, 8]}, "rate": {"float": [0, 1]}},
            "deep": {"layers": {"repeat": {"log": [1, 4]}, "times": {"int": [1, 2]}}},
        }
    )
    assert found == (
        "search.space.net.thin.width: width is a whole number: {int: [4, 8]}",
        "search.space.net.deep.layers.repeat: each item of layers is a whole number: {int: [1, 4], log: true}",
    )
    assert issues(net__width={"log": [4, 8]}) == (
        "search.space.net.width: width is a whole number: {int: [4, 8], log: true}",
    )


@pytest.mark.parametrize("key", ["rate", "share", "mixed", "unknown"])
def test_fields_of_fractions_and_unknown_keys_are_left_alone(key):
    assert issues(**{f"training.{key}": {"log": [8, 64]}}) == ()


@pytest.mark.parametrize(
    "domain",
    [
        {"repeat": {"choice": [1, 2]}, "times": 10**9},
        {"repeat": {"choice": [1, 2]}, "times": {"int": [1, 10**9]}},
        {"repeat": {"choice": [1, 2]}, "times": {"choice": [1, 10**12]}},
        {"repeat": {"repeat": {"repeat": {"int": [1, 2]}, "times": 900}, "times": 900}, "times": 900},
    ],
)
def test_a_space_that_repeats_without_bound_is_refused_before_it_is_laid_out(domain):
    (said,) = issues(**{"net.layers": domain})
    assert "from 0 to 1000" in said or "more than 10000 decisions" in said
