import pytest
from pydantic import TypeAdapter

from paddle_automl.core.describe import all_options
from paddle_automl.core.errors import ConfigError
from paddle_automl.core.loading import validate
from paddle_automl.models.config import ModelConfig


def test_defaults_and_round_trip():
    config = validate(ModelConfig, {})
    assert config.backbone.name == "resnet"
    assert validate(ModelConfig, config.model_dump()) == config
    assert all(option.doc for option in all_options(ModelConfig))


def test_the_schema_lists_the_names():
    schema = TypeAdapter(ModelConfig).json_schema()
    assert "hardswish" in schema["properties"]["activation"]["enum"]
    assert "orthogonal" in schema["properties"]["initializer"]["enum"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"activation": "rleu"}, r"activation: unknown activation 'rleu'; did you mean 'relu'\? valid: elu"),
        ({"initializer": "he"}, "initializer: unknown initializer 'he'"),
        ({"norm": "batchnorm"}, r"norm: unknown normalization 'batchnorm'; did you mean 'batch_norm'"),
        ({"backbone": {"name": "resnet", "widht": 8}}, r"backbone\.widht: unknown key; did you mean 'width'"),
        ({"backbone": {"name": "resnet", "blocks": [1, 0]}}, r"backbone\.blocks\.1"),
        ({"backbone": {"name": "resnet", "blocks": []}}, r"backbone\.blocks"),
        ({"backbone": {"name": "inception", "branches": ["1x1", "1x1"]}}, "duplicate branch 1x1"),
        ({"dropout": 1.0}, "dropout: input should be less than 1, got 1.0"),
        ({"frozen_epochs": 2}, "frozen_epochs: only with pretrained"),
        ({"frozen_norm": True}, "frozen_norm: only with pretrained"),
        ({"pretrained_rate": 0.1}, "pretrained_rate: only with pretrained"),
        ({"stage_decay": 0.5, "thaw_epochs": 1}, "stage_decay and thaw_epochs: only with pretrained"),
    ],
)
def test_mistakes_are_named(data, message):
    with pytest.raises(ConfigError, match=message):
        validate(ModelConfig, data)
