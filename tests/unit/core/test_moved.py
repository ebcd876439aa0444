"""Keys under new names: in files, bases, overrides and search spaces."""

import logging

import pytest

from paddle_automl.core import moved
from paddle_automl.core.errors import ConfigError
from paddle_automl.core.loading import read_config, validate
from paddle_automl.core.merging import lookup, with_override
from paddle_automl.core.moved import MOVED, moved_key, moved_overrides, with_moved_keys
from paddle_automl.pipeline.config import RunConfig

TABLE = {
    "data.size": "data.input.size",
    "data.fit": "data.input.fit",
    "final": "refit",
    "training.warm.share": "training.warm.fraction",
    "steps.*.rises": "steps.*.increases",
}


@pytest.fixture(autouse=True)
def nothing_said_yet(monkeypatch):
    monkeypatch.setattr(moved, "_warned", set())


@pytest.fixture
def in_use(monkeypatch):
    for old, new in TABLE.items():
        monkeypatch.setitem(MOVED, old, new)


@pytest.mark.parametrize(
    ("key", "new"),
    [
        ("steps.0.rises", "steps.0.increases"),
        ("steps.rises", "steps.rises"),
        ("search.space.steps.12.rises", "search.space.steps.12.increases"),
        ("data.size", "data.input.size"),
        ("data.sizes", "data.sizes"),
        ("final", "refit"),
        ("final.epochs", "refit.epochs"),
        ("finally", "finally"),
        ("search.space.data.size", "search.space.data.input.size"),
        ("search.space.final.epochs", "search.space.refit.epochs"),
        ("training.epochs", "training.epochs"),
    ],
)
def test_a_key_has_its_present_name(key, new):
    assert moved_key(key, TABLE) == new


def test_keys_and_sections_move_with_their_values_and_the_rest_stays():
    data = {"data": {"size": 32, "dataset": "digits"}, "final": {"epochs": 3}, "seed": 1}
    given = {"data": {"size": 32, "dataset": "digits"}, "final": {"epochs": 3}, "seed": 1}
    assert with_moved_keys(data, table=TABLE) == {
        "data": {"dataset": "digits", "input": {"size": 32}},
        "refit": {"epochs": 3},
        "seed": 1,
    }
    assert data == given


def test_a_bare_name_in_the_place_of_the_new_section_becomes_its_name():
    data = {"data": {"input": "image", "size": 32}}
    assert with_moved_keys(data, table=TABLE) == {"data": {"input": {"name": "image", "size": 32}}}


def test_keys_of_the_search_space_move_in_their_order():
    space = {
        "data.size": {"choice": [8, 16]},
        "final.epochs": {"int": [1, 3]},
        "training.warm": {"choice": [{"share": 0.5}, None]},
        "model.backbone": {"resnet": {"size": {"int": [1, 2]}}},
    }
    moved_space = with_moved_keys({"search": {"space": space}}, table=TABLE)["search"]["space"]
    assert list(moved_space.items()) == [
        ("data.input.size", {"choice": [8, 16]}),
        ("refit.epochs", {"int": [1, 3]}),
        ("training.warm", {"choice": [{"fraction": 0.5}, None]}),
        ("model.backbone", {"resnet": {"size": {"int": [1, 2]}}}),
    ]
    assert with_moved_keys({"search": {"space": "auto"}}, table=TABLE) == {"search": {"space": "auto"}}


def test_keys_of_all_items_of_a_list_move(caplog):
    places = {("steps", 1, "rises"): "a.yaml:5"}
    data = {
        "steps": ["distill", {"rises": 3, "ratio": 0.5}, {"rises": 4}],
        "search": {
            "space": {
                "steps.1.rises": {"int": [1, 3]},
                "steps.0": {"choice": [{"rises": 1}, "distill"]},
                "steps": {"choice": [["distill", {"rises": 2}], []]},
            }
        },
    }
    found = with_moved_keys(data, places, TABLE)
    assert found["steps"] == ["distill", {"increases": 3, "ratio": 0.5}, {"increases": 4}]
    assert found["search"]["space"] == {
        "steps.1.increases": {"int": [1, 3]},
        "steps.0": {"choice": [{"increases": 1}, "distill"]},
        "steps": {"choice": [["distill", {"increases": 2}], []]},
    }
    assert places["steps", 1, "increases"] == "a.yaml:5"
    assert "the key 'steps.1.rises' is now 'steps.1.increases'" in caplog.text


def test_an_old_key_beside_its_new_one_in_a_list_is_a_mistake():
    with pytest.raises(ConfigError, match=r"^steps\.0\.rises: is the old name of 'steps\.0\.increases'"):
        with_moved_keys({"steps": [{"rises": 3, "increases": 3}]}, table=TABLE)


def test_an_old_key_beside_its_new_one_is_a_mistake():
    data = {
        "data": {"size": 32, "input": {"size": 16}},
        "final": {"epochs": 3},
        "refit": {"data": "train"},
        "search": {"space": {"data.fit": {"choice": ["a"]}, "data.input.fit": {"choice": ["b"]}}},
    }
    with pytest.raises(ConfigError) as caught:
        with_moved_keys(data, {("data", "size"): "a.yaml:2", ("data", "input", "size"): "a.yaml:4"}, TABLE)
    assert caught.value.issues == (
        "a.yaml:2: data.size: is the old name of 'data.input.size', which is given too (a.yaml:4); "
        "keep 'data.input.size'",
        "final: is the old name of 'refit', which is given too; keep 'refit'",
        "search.space.data.fit: is the old name of 'search.space.data.input.fit', which is given too; "
        "keep 'search.space.data.input.fit'",
    )


def test_one_warning_per_key_and_process_says_where_and_what_instead(caplog):
    data = {"data": {"size": 32}, "search": {"space": {"data.fit": {"choice": ["a"]}}}}
    with caplog.at_level(logging.WARNING):
        with_moved_keys(data, {("data", "size"): "a.yaml:2"}, TABLE)
        with_moved_keys(data, {}, TABLE)
    assert [record.getMessage() for record in caplog.records] == [
        "search.space: the key 'data.fit' is now 'data.input.fit'; the old name still works in this version",
        "a.yaml:2: the key 'data.size' is now 'data.input.size'; the old name still works in this version",
    ]


def test_a_file_that_no_one_edits_gives_no_warning(caplog):
    data = {"data": {"size": 32}, "search": {"space": {"data.fit": {"choice": ["a"]}}}}
    with_moved_keys(data, table=TABLE, warn=False)
    assert caplog.records == []


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ({"data.size": 32}, {"data.input.size": 32}),
        ({"final.epochs": 3, "seed": 1}, {"refit.epochs": 3, "seed": 1}),
        ({"final": {"epochs": 3}}, {"refit": {"epochs": 3}}),
        ({"data": {"size": 32, "dataset": "digits"}}, {"data": {"dataset": "digits", "input": {"size": 32}}}),
        ({"steps.1.rises": 3}, {"steps.1.increases": 3}),
        ({"steps.1": {"rises": 3}}, {"steps.1": {"increases": 3}}),
        ({"steps": [{"rises": 3}]}, {"steps": [{"increases": 3}]}),
        ({"training.warm": {"share": 0.5}}, {"training.warm": {"fraction": 0.5}}),
        ({"search.space.data.size": {"int": [1, 2]}}, {"search.space.data.input.size": {"int": [1, 2]}}),
        ({"search.space": {"data.size": {"int": [1, 2]}}}, {"search.space": {"data.input.size": {"int": [1, 2]}}}),
        ({"search": {"space": {"data.fit": 1}}}, {"search": {"space": {"data.input.fit": 1}}}),
    ],
)
def test_overrides_move_too(overrides, expected):
    assert moved_overrides(overrides, TABLE) == expected


def test_a_value_that_leaves_the_section_of_an_override_becomes_an_override_of_its_own():
    assert moved_overrides({"a": {"x": 1, "y": 2}}, {"a.x": "b.x"}) == {"a": {"y": 2}, "b.x": 1}


@pytest.mark.parametrize("keys", [("data.size", "data.input.size"), ("data.input.size", "data.size")])
def test_an_old_override_beside_its_new_one_is_a_mistake(keys):
    with pytest.raises(
        ConfigError,
        match=r"^-o data\.size: is the old name of 'data\.input\.size', which -o data\.input\.size gives",
    ):
        moved_overrides(dict.fromkeys(keys, 1), TABLE)


@pytest.mark.usefixtures("in_use")
def test_a_file_may_use_an_old_name_for_what_its_base_sets_under_the_new_one(tmp_path):
    (tmp_path / "base.yaml").write_text("data: {input: {size: 64}}\nrefit: {epochs: 9, data: train}\n")
    (tmp_path / "mine.yaml").write_text("_base_: base.yaml\ndata:\n  size: 32\nfinal:\n  epochs: 3\n")
    data, positions = read_config(tmp_path / "mine.yaml", {"data.fit": "crop"})
    assert data == {"data": {"input": {"size": 32, "fit": "crop"}}, "refit": {"epochs": 3, "data": "train"}}
    assert positions["data", "input", "size"] == f"{tmp_path / 'mine.yaml'}:3"
    assert positions["refit", "epochs"] == f"{tmp_path / 'mine.yaml'}:5"


def test_the_table_has_no_chains_and_no_key_on_both_sides():
    assert not set(MOVED) & set(MOVED.values())
    assert all(moved_key(new) == new for new in MOVED.values())


@pytest.mark.parametrize(
    ("old", "value"),
    [
        ("data.image_size", 32),
        ("data.fit", "pad"),
        ("data.channels", 1),
        ("training.progressive.data_share", 0.25),
        ("training.init_from", "weights.pdparams"),
        ("final", {"epochs": 3, "data": "train", "progressive": False}),
        ("compression.max_accuracy_drop", 0.02),
        ("compression.min_top1_agreement", 0.9),
        ("deployment.parity.min_top1_agreement", 0.9),
        ("deployment.parity.min_top1_agreement_int8", 0.9),
        ("deployment.parity.max_accuracy_drop_int8", 0.02),
        ("search.controller.random_share", 0.1),
        ("compression.steps.*.rises", 4),
    ],
)
def test_every_old_key_works_in_the_configuration(old, value):
    base = {"search": {"controller": {"name": "q_learning"}}, "compression": {"steps": ["prune_weights"]}}
    config = validate(RunConfig, with_moved_keys(with_override(base, old.replace("*", "0"), value)))
    found = lookup(config.model_dump(mode="json"), MOVED[old].replace("*", "0"))
    # A section has newer options too.
    assert ({key: found[key] for key in value} if isinstance(value, dict) else found) == value


def test_every_entry_is_tried_above():
    (parameters,) = (mark.args[1] for mark in test_every_old_key_works_in_the_configuration.pytestmark)
    assert {old for old, _ in parameters} == set(MOVED)
