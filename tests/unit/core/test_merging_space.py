"""In the search space a domain replaces the domain below it, in bases, on the command line and from Python."""

from itertools import permutations

import pytest

from paddle_automl.core.loading import parse_overrides, read_config
from paddle_automl.core.merging import DOMAIN_WORDS, merge, with_override
from paddle_automl.space.parsing import KEYS
from paddle_automl.space.space import SearchSpace

DOMAINS = [
    {"choice": [0.1, 0.2]},
    {"int": [1, 9], "step": 2},
    {"int": [1, 9], "log": True},
    {"float": [0.0, 1.0], "step": 0.5},
    {"log": [0.001, 0.1]},
    {"repeat": {"choice": [1, 2]}, "times": {"int": [1, 3]}},
    {"resnet": {"width": {"choice": [8]}}, "vgg": {}},
]


def test_the_words_are_those_of_the_parser():
    assert tuple(KEYS) == DOMAIN_WORDS


@pytest.mark.parametrize(("below", "above"), permutations(DOMAINS, 2))
def test_a_domain_of_another_kind_replaces_the_one_below(below, above):
    key = "training.optimizer.learning_rate"
    data = {"search": {"space": {key: below, "other": {"choice": [1]}}}}
    changed = {"search": {"space": {key: above, "other": {"choice": [1]}}}}
    assert with_override(data, f"search.space.{key}", above) == changed
    assert with_override(data, "search.space", {key: above}) == changed
    assert merge(data, {"search": {"space": {key: above}}}) == changed
    assert SearchSpace.parse(changed["search"]["space"]).spec == changed["search"]["space"]
    assert data["search"]["space"][key] == below


def test_a_command_line_and_a_base_replace_alike(tmp_path):
    (tmp_path / "base.yaml").write_text("search: {space: {a.b: {log: [0.1, 1]}, c: {float: [0, 1], step: 0.1}}}\n")
    (tmp_path / "c.yaml").write_text("_base_: base.yaml\nsearch: {space: {c: {choice: [1, 2]}}}\n")
    data, _ = read_config(tmp_path / "c.yaml", parse_overrides(["search.space.a.b={int: [1, 8], log: true}"]))
    assert data["search"]["space"] == {"a.b": {"int": [1, 8], "log": True}, "c": {"choice": [1, 2]}}


def test_options_with_names_still_merge_and_domains_inside_them_replace():
    below = {"resnet": {"width": {"choice": [8]}, "depth": {"int": [1, 3]}}, "vgg": {}}
    above = {"resnet": {"width": {"int": [4, 8]}, "act": {"relu": {}}}}
    merged = merge({"search": {"space": {"model": below}}}, {"search": {"space": {"model": above}}})
    assert merged["search"]["space"]["model"] == {
        "resnet": {"width": {"int": [4, 8]}, "depth": {"int": [1, 3]}, "act": {"relu": {}}},
        "vgg": {},
    }


@pytest.mark.parametrize("beside", [{"log": True}, {"step": 2}, {"log": False, "step": 3}])
def test_what_only_stands_beside_a_word_is_added(beside):
    data = {"search": {"space": {"a": {"int": [1, 9]}}}}
    assert with_override(data, "search.space.a", beside)["search"]["space"]["a"] == {"int": [1, 9], **beside}


def test_a_mapping_elsewhere_that_looks_like_a_domain_merges_as_before():
    assert merge({"a": {"int": 1}}, {"a": {"choice": 2}}) == {"a": {"int": 1, "choice": 2}}
