"""What an optimizer is: options, and how Paddle's optimizer is made from them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import paddle
from paddle import Tensor
from pydantic import Field

from paddle_automl.core.registry import Registry
from paddle_automl.core.schema import PluginConfig


@dataclass(frozen=True)
class ParameterGroup:
    """Parameters that share a factor of the learning rate, and whether weight decay applies to them."""

    parameters: Sequence[Tensor]
    rate: float = 1.0
    decayed: bool = True


class OptimizerConfig(PluginConfig):
    """Options that every optimizer has."""

    learning_rate: float = Field(0.01, gt=0)
    """Step size at its highest; the schedule multiplies it."""
    weight_decay: float = Field(0.0, ge=0)
    """Pull of kernels and weights towards zero; biases and the scales of normalizations are left alone."""


class Optimizer(ABC):
    """Makes one of Paddle's optimizers."""

    class Config(OptimizerConfig):
        """Options of the optimizer."""

    def __init__(self, config: OptimizerConfig) -> None:
        self.config = config

    @abstractmethod
    def build(
        self, groups: Sequence[ParameterGroup], clip: paddle.nn.ClipGradBase | None
    ) -> paddle.optimizer.Optimizer:
        """Return Paddle's optimizer of `groups` that clips gradients by `clip` before each step."""

    def options(self, groups: Sequence[ParameterGroup], clip: paddle.nn.ClipGradBase | None) -> dict[str, Any]:
        """Return the arguments that all of Paddle's optimizers take alike."""
        return {
            "learning_rate": self.config.learning_rate,
            "grad_clip": clip,
            "parameters": [self.group(group) for group in groups],
        }

    def group(self, group: ParameterGroup) -> dict[str, Any]:
        """Return a parameter group in Paddle's form; decay is L2, added to the gradient after clipping."""
        decay = self.config.weight_decay if group.decayed else 0.0
        return {"params": list(group.parameters), "learning_rate": group.rate, "weight_decay": decay}


OPTIMIZERS: Registry[Optimizer] = Registry("optimizer", "paddle_automl.training.optimizers", "training.optimizer")
