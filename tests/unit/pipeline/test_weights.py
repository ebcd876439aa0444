"""Published weights decide how images are read."""

import pytest

from paddle_automl.core.errors import ConfigError
from paddle_automl.core.loading import validate
from paddle_automl.pipeline.config import RunConfig

MEAN = (0.498039,) * 3
PUBLISHED = {"backbone": "efficientnet_lite", "pretrained": "imagenet"}


def config(model=PUBLISHED, **data):
    return validate(RunConfig, {"model": model, "data": data})


def test_weights_bring_their_preprocessing():
    for given in ({}, {"input": "auto"}, {"input": "image"}, {"input": {"size": 32}}):
        found = config(**given).data.input
        assert (found.channels, found.mean, found.interpolation) == (3, MEAN, "bicubic")
    assert found.size == 32
    assert config(model={"pretrained": "file.pdparams"}).data.input.mean == "auto"
    assert config(model={"backbone": "resnet"}).data.input.mean == "auto"


def test_a_written_configuration_is_the_same_configuration():
    found = config(input={"size": 32})
    assert validate(RunConfig, found.as_dict()) == found
    assert validate(RunConfig, {**found.as_dict(), "data": {"input": {"size": 32, "interpolation": "bilinear"}}})


def test_a_statement_against_the_weights_is_refused():
    message = (
        r"data\.input\.mean: must be \[0\.498039, .*\] for model\.pretrained: imagenet, got \[0\.5\]; leave it"
    )
    with pytest.raises(ConfigError, match=message):
        config(input={"mean": [0.5]})
    with pytest.raises(ConfigError, match=r"data\.input\.channels: must be 3 .*, got 1"):
        config(input={"channels": 1})


def test_mistakes_are_left_to_their_sections():
    with pytest.raises(ConfigError, match=r"model: pretrained: the backbone 'vgg' has no weights of imagenet"):
        config(model={"backbone": "vgg", "pretrained": "imagenet"})
    with pytest.raises(ConfigError, match=r"model\.backbone.*no_such"):
        config(model={"backbone": "no_such", "pretrained": "imagenet"})
    with pytest.raises(ConfigError, match=r"data\.input"):
        config(input=7)
    with pytest.raises(ConfigError, match=r"data"):
        validate(RunConfig, {"model": PUBLISHED, "data": 7})
