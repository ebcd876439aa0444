"""The interface of optimizers: options, and how Paddle's optimizer is made from them."""

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
    names: Sequence[str] = ()
    """Names of the parameters in the network, in their order; parameters outside the network have the name ""."""


class OptimizerConfig(PluginConfig):
    """Options that every optimizer has."""

    learning_rate: float = Field(0.01, gt=0)
    """Largest step size; the schedule multiplies it."""
    weight_decay: float = Field(0.0, ge=0)
    """Pull of kernels and weights towards zero; biases and the scales of normalizations are left alone."""


class Optimizer(ABC):
    """Makes one of Paddle's optimizers."""

    class Config(OptimizerConfig):
        """Options of the optimizer."""

    decay_in_gradient: ClassVar[bool] = True
    """Whether weight decay is L2, added to the gradient after clipping, or decoupled, part of the optimizer's
    rule."""
    wraps: ClassVar[bool] = False
    """Whether it wraps another optimizer, its option `base`."""

    def __init__(self, config: OptimizerConfig) -> None:
        self.config = config

    @abstractmethod
    def build(
        self, groups: Sequence[ParameterGroup], clip: paddle.nn.ClipGradBase | None
    ) -> paddle.optimizer.Optimizer:
        """Return Paddle's optimizer of `groups` that clips gradients by `clip` before each step."""

    def options(self, groups: Sequence[ParameterGroup], clip: paddle.nn.ClipGradBase | None) -> dict[str, Any]:
        """Return the arguments that all of Paddle's optimizers have.

        The groups' factors are set on the parameters instead of using Paddle's own groups, because Paddle clips
        each of its groups by its own norm: the norm would not be global.
        """
        decay = self.config.weight_decay if self.decay_in_gradient else 0.0
        parameters = []
        for group in groups:
            for parameter in group.parameters:
                parameter.optimize_attr["learning_rate"] = group.rate
                parameter.regularizer = L2Decay(decay) if decay and group.decayed else None
                parameters.append(parameter)
        return {"learning_rate": self.config.learning_rate, "grad_clip": clip, "parameters": parameters}


class TwoPassOptimizer(ABC):
    """An optimizer that uses the gradient at another point: a step has two forward and backward passes.

    The order is: gradient at the weights, `climb`, gradient there, `descend`, ``step``. The training loop updates
    the running statistics of normalizations only in the first pass.
    """

    @abstractmethod
    def climb(self) -> None:
        """Move the weights to the point of the second gradient, and clear the first one."""

    @abstractmethod
    def descend(self) -> None:
        """Restore exactly the same weights; the gradients stay."""


def names_without_decay(groups: Sequence[ParameterGroup]) -> frozenset[str]:
    """Return Paddle's names of the parameters to which weight decay does not apply."""
    return frozenset(parameter.name for group in groups if not group.decayed for parameter in group.parameters)


def decay_by_name(groups: Sequence[ParameterGroup], decay: float) -> dict[str, float]:
    """Return the weight decay of the parameters to which it applies, by Paddle's name."""
    return {parameter.name: decay for group in groups if group.decayed for parameter in group.parameters}


OPTIMIZERS: Registry[Optimizer] = Registry("optimizer", "paddle_automl.training.optimizers", "training.optimizer")
