"""A small part of the digits, and tiny networks for it."""

from dataclasses import replace

import pytest

from paddle_automl.core.loading import validate
from paddle_automl.data.config import DataConfig
from paddle_automl.data.prepare import prepare
from paddle_automl.models.config import ModelConfig
from paddle_automl.models.network import build_network


@pytest.fixture(scope="session")
def digits():
    data = prepare(validate(DataConfig, {}), seed=0)
    return replace(
        data,
        train=data.train.with_indices(data.train.indices[:200]),
        validation=data.validation.with_indices(data.validation.indices[:80]),
    )


@pytest.fixture
def make_model(digits):
    def make(seed=0, outputs=10, **model):
        config = validate(ModelConfig, {"backbone": {"name": "resnet", "width": 8, "blocks": [1]}, **model})
        return build_network(config, digits.input, outputs, seed=seed)

    return make
