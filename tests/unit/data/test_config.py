"""The `data` section: what is accepted, what is said, and paths made absolute."""

import pytest

from paddle_automl.core.errors import ConfigError
from paddle_automl.core.loading import validate
from paddle_automl.core.yaml_io import dump_yaml, parse_value
from paddle_automl.data.config import DataConfig, absolute


def test_defaults_and_round_trip():
    config = validate(DataConfig, {})
    assert config.dataset.name == "digits"
    assert config.input.name == "image"
    assert config.input.sides is None
    again = validate(DataConfig, parse_value(dump_yaml(config.model_dump(mode="json"))))
    assert again == config


@pytest.mark.parametrize(
    ("data", "networks"), [({}, 1), ({"folds": "auto"}, 1), ({"folds": 4}, 4), ({"folds": 4, "fold": 2}, 1)]
)
def test_a_network_is_trained_for_each_fold(data, networks):
    assert validate(DataConfig, data).networks == networks


def test_short_forms():
    config = validate(
        DataConfig, {"input": {"size": 32}, "augment": ["horizontal_flip", {"name": "random_crop", "padding": 2}]}
    )
    assert config.input.size == 32
    assert config.input.sides == (32, 32)
    assert validate(DataConfig, {"input": {"size": [20, 30]}}).input.sides == (20, 30)
    for value in (None, "auto", "image", {}, {"name": "image"}, {"name": "auto"}):
        assert validate(DataConfig, {"input": value}).input == validate(DataConfig, {}).input
    assert [item.name for item in config.augment] == ["horizontal_flip", "random_crop"]
    assert config.augment[1].padding == 2


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"input": {"size": "big"}}, r"input\.size: must be a number of pixels, or \[height, width\].*got 'big'"),
        ({"input": {"size": [1, 2, 3]}}, r"input\.size: must be a number of pixels"),
        ({"input": {"size": 0}}, r"input\.size: must be a number of pixels"),
        ({"input": {"size": True}}, r"input\.size: must be a number of pixels"),
        ({"input": {"size": [8, 8.5]}}, r"input\.size: must be a number of pixels"),
        ({"input": {"fit": "squeeze"}}, "fit: input should be 'crop', 'pad' or 'stretch', got 'squeeze'"),
        ({"input": {"channels": 2}}, "channels: input should be 'auto', 1 or 3"),
        ({"input": {"range": [5, 5]}}, r"input.range: must be \[lowest, highest\], two rising numbers"),
        ({"input": {"range": 4095}}, r"input.range: must be \[lowest, highest\], two rising numbers, got 4095"),
        ({"input": "txt"}, "input: unknown input 'txt'; did you mean 'text'?"),
        (
            {"dataset": "digit", "input": {"size": 8}},
            r"^dataset: unknown dataset 'digit'; did you mean 'digits'\? valid: ",
        ),
        ({"folds": 1}, "folds: input should be greater than or equal to 2"),
        ({"folds": 3, "fold": 3}, "fold: must be below folds, got 3 of 3"),
        ({"fold": 0}, "fold: must be below folds, got 0 of None"),
        (
            {"feature_views": {"augment": ["horizontal_flip", "cutmix"]}},
            r"^feature_views\.augment: takes .* of single items, got cutmix: .*use mixup in data\.augment",
        ),
        ({"feature_views": {"augment": ["mixup"]}}, r"^feature_views\.augment: .*got mixup: "),
        ({"in_memory": "yes"}, "in_memory: input should be 'auto', True or False"),
        ({"split": {"validation": 0.5, "test": 0.5}}, r"split: .*must sum to less than 1, got 0\.5 \+ 0\.5"),
        ({"split": {"validation": 0.0}}, r"split\.validation: .*greater than 0"),
        ({"augment": ["flip"]}, r"augment\.0: unknown augmentation 'flip'"),
        ({"augment": [{"name": "scale", "low": 2.0}]}, r"augment\.0: low must not be above high"),
        ({"dataset": "image_folder"}, r"dataset\.root: is required"),
        ({"dataset": {"name": "image_folder", "roof": "x", "root": "y"}}, "did you mean 'root'"),
        ({"datset": "digits"}, "datset: unknown key; did you mean 'dataset'"),
    ],
)
def test_mistakes(data, message):
    with pytest.raises(ConfigError, match=message):
        validate(DataConfig, data)


def test_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = validate(
        DataConfig, {"dataset": {"name": "image_list", "train": "图 片/train.txt", "test": "/a/../b.txt"}}
    )
    made = absolute(config)
    assert made.dataset.train == str(tmp_path / "图 片" / "train.txt")
    assert made.dataset.test == "/b.txt"
    assert made.dataset.root is None
    assert made.dataset.name == "image_list"
    assert config.dataset.train == "图 片/train.txt"
    assert absolute(made) == made
    assert absolute(validate(DataConfig, {})) == validate(DataConfig, {})
    texts = {
        "dataset": {"name": "text_list", "train": "a.txt"},
        "input": {"tokens": {"kind": "wordpiece", "file": "v"}},
    }
    replace = {"name": "text_replace", "unit": "words", "synonyms": "s.txt"}
    given = absolute(validate(DataConfig, {**texts, "augment": [replace]}))
    assert given.input.tokens.file == str(tmp_path / "v")
    assert given.augment[0].synonyms == str(tmp_path / "s.txt")
    idx = absolute(validate(DataConfig, {"dataset": {"name": "idx", "root": "x"}}))
    assert idx.dataset.root == str(tmp_path / "x")
