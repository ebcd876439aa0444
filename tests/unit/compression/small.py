"""A small network trained on a part of the digits, and a context around it."""

from __future__ import annotations

import copy
import functools
from dataclasses import replace
from typing import Any

import numpy as np

from paddle_automl.compression.context import Context
from paddle_automl.data.config import DataConfig
from paddle_automl.data.parts import PreparedData
from paddle_automl.data.prepare import prepare
from paddle_automl.models.classifier import Classifier, build_model
from paddle_automl.models.config import ModelConfig
from paddle_automl.training.config import TrainingConfig
from paddle_automl.training.loop import train

SHAPE = (1, 8, 8)
RECIPE = TrainingConfig.model_validate(
    {
        "epochs": 8,
        "batch_size": 32,
        "optimizer": {"name": "momentum", "learning_rate": 0.1, "weight_decay": 1e-4},
        "clip_global_norm": 5.0,
    }
)


@functools.lru_cache(maxsize=1)
def digits() -> PreparedData:
    data = prepare(DataConfig.model_validate({"dataset": "digits"}), seed=0)
    few = data.train.with_indices(data.train.indices[:480])
    return replace(data, train=few)


def network(seed: int = 0, classes: int = 10, **config: Any) -> Classifier:
    options = {"backbone": {"name": "resnet", "width": 16, "blocks": [1, 1]}, **config}
    return build_model(
        ModelConfig.model_validate(options), in_channels=1, num_classes=classes, image_size=(8, 8), seed=seed
    )


@functools.lru_cache(maxsize=1)
def _trained() -> Classifier:
    model = network()
    train(model, digits(), RECIPE, seed=0, folder=None)
    return model


def trained() -> Classifier:
    """Return a copy of the trained network, so that no test spoils another's."""
    return copy.deepcopy(_trained())


def context(**changes: Any) -> Context:
    return replace(Context(data=digits(), training=RECIPE, original=trained()), **changes)


def images(count: int = 16) -> np.ndarray:
    return next(digits().validation.batches(count)).images
