"""What an optimizer is: options, and how Paddle's optimizer is made from them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import paddle
from paddle import Tensor
from paddle.regularizer import L2Decay
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

    decay_in_gradient: ClassVar[bool] = True
    """Whether weight decay is L2, added to the gradient after clipping, or a part of the optimizer's own rule."""

    def __init__(self, config: OptimizerConfig) -> None:
        self.config = config

    @abstractmethod
    def build(
        self, groups: Sequence[ParameterGroup], clip: paddle.nn.ClipGradBase | None
    ) -> paddle.optimizer.Optimizer:
        """Return Paddle's optimizer of `groups` that clips gradients by `clip` before each step."""

    def options(self, groups: Sequence[ParameterGroup], clip: paddle.nn.ClipGradBase | None) -> dict[str, Any]:
        """Return the arguments that all of Paddle's optimizers take alike.

        The groups' factors are written on the parameters and not handed over as Paddle's own groups, because
        Paddle clips each of its groups by a norm of its own: the norm would not be global.
        """
        decay = self.config.weight_decay if self.decay_in_gradient else 0.0
        parameters = []
        for group in groups:
            for parameter in group.parameters:
                parameter.optimize_attr["learning_rate"] = group.rate
                parameter.regularizer = L2Decay(decay) if decay and group.decayed else None
                parameters.append(parameter)
        return {"learning_rate": self.config.learning_rate, "grad_clip": clip, "parameters": parameters}


def names_without_decay(groups: Sequence[ParameterGroup]) -> frozenset[str]:
    """Return Paddle's names of the parameters to which weight decay does not apply."""
    return frozenset(parameter.name for group in groups if not group.decayed for parameter in group.parameters)


OPTIMIZERS: Registry[Optimizer] = Registry("optimizer", "paddle_automl.training.optimizers", "training.optimizer")
