"""A small network trained on some of the digits for each task, and a context around it."""

from __future__ import annotations

import copy
import functools
from dataclasses import replace
from typing import Any

import numpy as np
import paddle
from paddle import Tensor

from paddle_automl.compression.context import Context, tensors
from paddle_automl.data.config import DataConfig
from paddle_automl.data.prepare import prepare
from paddle_automl.data.splits import PreparedData
from paddle_automl.inputs.base import TensorSpec
from paddle_automl.models.config import ModelConfig
from paddle_automl.models.network import Network, build_network
from paddle_automl.training.config import TrainingConfig
from paddle_automl.training.loop import train

SHAPE = (1, 8, 8)
SPECS = (TensorSpec("image", SHAPE),)
RECIPE = TrainingConfig.model_validate(
    {
        "epochs": 8,
        "batch_size": 32,
        "optimizer": {"name": "momentum", "learning_rate": 0.1, "weight_decay": 1e-4},
        "clip_global_norm": 5.0,
    }
)
# The mean over twelve labels makes gradients small.
FASTER = RECIPE.model_copy(update={"optimizer": RECIPE.optimizer.model_copy(update={"learning_rate": 0.6})})
RECIPES = {"digit": RECIPE, "digit_and_parity": FASTER, "value": RECIPE}
"""By what the networks of the digits answer: a class, several labels, a number."""
TARGETS = tuple(RECIPES)


@functools.lru_cache(maxsize=len(TARGETS))
def digits(target: str = "digit") -> PreparedData:
    data = prepare(DataConfig.model_validate({"dataset": {"name": "digits", "target": target}}), seed=0)
    few = data.train.with_indices(data.train.indices[:480])
    return replace(data, train=few)


def network(seed: int = 0, target: str = "digit", **config: Any) -> Network:
    options = {"backbone": {"name": "resnet", "width": 16, "blocks": [1, 1]}, **config}
    data = digits(target)
    return build_network(ModelConfig.model_validate(options), data.input, data.task.outputs, seed=seed)


def narrow(seed: int = 0, target: str = "digit") -> Network:
    """Return a new network of half the width."""
    return network(seed, target, backbone={"name": "resnet", "width": 8, "blocks": [1, 1]})


@functools.lru_cache(maxsize=len(TARGETS))
def _trained(target: str) -> tuple[Network, PreparedData]:
    model, data = network(target=target), digits(target)
    result = train(model, data, RECIPES[target], seed=0, folder=None)
    return model, data.with_task(result.task)


def trained(target: str = "digit") -> Network:
    """Return a copy of the trained network, so that no test spoils another's."""
    return copy.deepcopy(_trained(target)[0])


def context(target: str = "digit", **changes: Any) -> Context:
    """Return the context of the trained network; the task has the thresholds of its training."""
    return replace(Context(data=_trained(target)[1], training=RECIPES[target], original=trained(target)), **changes)


def images(count: int = 16) -> np.ndarray:
    return next(digits().validation.batches(count)).inputs["image"]


def batch(count: int = 16, target: str = "digit") -> list[Tensor]:
    """Return the first validation items as a network's arguments."""
    return tensors(next(digits(target).validation.batches(count)).inputs)


def tensor(values: Any) -> Tensor:
    return paddle.to_tensor(np.asarray(values, dtype="float32"))
