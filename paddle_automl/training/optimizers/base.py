"""The interface of optimizers: options, and how Paddle's optimizer is made from them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import paddle
from paddle import Tensor
from paddle.regularizer import L2Decay
from pydantic import Field

from paddle_automl.core.registry import Registry
from paddle_automl.core.schema import PluginConfig
from paddle_automl.models.kinds import Kind, kind_of

if TYPE_CHECKING:
    from typing_extensions import Self


@dataclass(frozen=True)
class ParameterGroup:
    """Parameters that share a factor of the learning rate, and whether weight decay applies to them."""

    parameters: Sequence[Tensor]
    rate: float = 1.0
    decayed: bool = True
    kinds: Sequence[Kind] = ()
    """Kind of each parameter; by default it follows from the number of axes."""
    factors: Sequence[float] = ()
    """Factor of the learning rate of each parameter in addition to `rate`; by default 1."""
    scale_free: Sequence[bool] = ()
    """Whether the scale of each parameter has no effect, as a normalization follows; by default it has one."""

    def __iter__(self) -> Iterator[tuple[Tensor, Kind, float]]:
        """Yield each parameter with its kind and its factor of the learning rate."""
        for index, parameter in enumerate(self.parameters):
            kind = self.kinds[index] if self.kinds else kind_of(parameter)
            yield parameter, kind, self.rate * (self.factors[index] if self.factors else 1.0)


class OptimizerConfig(PluginConfig):
    """Options that every optimizer has."""

    learning_rate: float = Field(0.01, gt=0)
    """Largest step size; the schedule multiplies it."""
    weight_decay: float = Field(0.0, ge=0)
    """Pull of kernels and weights towards zero; biases and the scales of normalizations are left alone."""

    def unit(self, kind: Kind, batch_size: int) -> float:
        """Return the unit in which the learning rate of this kind of parameter is given, as a step's rate."""
        del kind, batch_size
        return 1.0

    def check(self, kinds: Collection[Kind]) -> None:
        """Raise ConfigError if the options cannot train a network that has parameters of these kinds."""

    def scaled(self, factor: float) -> Self:
        """Return the same options with all learning rates times `factor`."""
        return self.model_copy(update={"learning_rate": self.learning_rate * factor})


Units = Literal["step", "decoupled"]


def decoupled_unit(momentum: float, batch_size: int) -> float:
    """Return the decoupled unit of a learning rate: batch_size / (1024 (1 + 1 / (1 - momentum))).

    Jordan 2024, arXiv:2404.00498, appendix A: the rate of a step on the sum of the items' losses is one
    1024 (1 + 1 / (1 - momentum))-th of the learning rate, so that it is that of 1,024 items at any batch size and
    momentum. The factor batch_size is there because the loss is a mean.
    """
    return batch_size / (1024 * (1 + 1 / (1 - momentum)))


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
            for parameter, _, rate in group:
                parameter.optimize_attr["learning_rate"] = rate
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


class AveragingOptimizer(ABC):
    """An optimizer whose average of the weights is the result of the training, not the weights themselves."""

    @abstractmethod
    def averaged(self) -> AbstractContextManager[None]:
        """Return a context in which the parameters hold the average; afterwards they are exactly as before."""


def names_without_decay(groups: Sequence[ParameterGroup]) -> frozenset[str]:
    """Return Paddle's names of the parameters to which weight decay does not apply."""
    return frozenset(parameter.name for group in groups if not group.decayed for parameter in group.parameters)


def decay_by_name(groups: Sequence[ParameterGroup], decay: float) -> dict[str, float]:
    """Return the weight decay of the parameters to which it applies, by Paddle's name."""
    return {parameter.name: decay for group in groups if group.decayed for parameter in group.parameters}


OPTIMIZERS: Registry[Optimizer] = Registry("optimizer", "paddle_automl.training.optimizers", "training.optimizer")
