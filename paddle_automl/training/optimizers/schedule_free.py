"""Training without a schedule of the learning rate."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated

import paddle
from paddle import Tensor
from pydantic import Field

from paddle_automl.core.schema import PluginConfig, default
from paddle_automl.training.optimizers._wrapping import (
    BASES,
    Base,
    Wrapped,
    WrapperConfig,
    build_base,
    float32_copy,
    in_type,
)
from paddle_automl.training.optimizers.base import OPTIMIZERS, AveragingOptimizer, Optimizer, ParameterGroup


@OPTIMIZERS.register("schedule_free")
class ScheduleFree(Optimizer):
    """Averages the iterates of another optimizer instead of lowering its rate (Defazio et al. 2024).

    Algorithm 1 of arXiv:2405.15682 with the weights of its section 4.2. With the iterates z of the base and their
    average x, the gradient is taken at y = x + (1 - momentum) (z - x). After a step of the base on z:
    x <- x + c (z - x), where c is the square of this step's rate divided by the sum of the squares so far. The
    average is evaluated, saved and exported. As the training has no horizon, a good network exists after each
    epoch: set ``training.lr_schedule`` to constant, with some warm-up, and with batch normalization
    ``training.recalibrate``, because the running statistics are those of y.
    """

    wraps = True

    class Config(WrapperConfig):
        """Options of schedule-free training."""

        momentum: float = Field(0.9, gt=0, lt=1)
        """How much nearer to the average than to the last iterate the gradient is taken (beta in the paper)."""
        base: Annotated[PluginConfig, Base(BASES, "sgd")] = default("sgd")
        """The optimizer that takes the steps, without momentum of its own; its learning_rate and weight_decay are
        set next to it, not in it."""

    config: Config

    def build(  # noqa: D102
        self, groups: Sequence[ParameterGroup], clip: paddle.nn.ClipGradBase | None
    ) -> paddle.optimizer.Optimizer:
        return _ScheduleFree(build_base(self.config, groups, clip), self.config)


class _ScheduleFree(Wrapped, AveragingOptimizer):
    """Between steps the parameters hold y."""

    def __init__(self, base: paddle.optimizer.Optimizer, config: ScheduleFree.Config) -> None:
        super().__init__(base)
        self._config = config
        self._sum = 0.0
        self._last: list[Tensor] = []
        self._mean: list[Tensor] = []

    @paddle.no_grad()
    def step(self) -> None:
        if not self._last:
            # Not in __init__: weights may be loaded, or change their type, before the first step.
            self._last = [float32_copy(parameter) for parameter in self._parameter_list]
            self._mean = [float32_copy(parameter) for parameter in self._parameter_list]
        for last, parameter in zip(self._last, self._parameter_list, strict=True):
            if not parameter.stop_gradient:
                self.place(last, parameter)
        self.base.step()
        weight = self.get_lr() ** 2
        self._sum += weight
        fraction = weight / self._sum if self._sum else 1.0
        for last, mean, parameter in zip(self._last, self._mean, self._parameter_list, strict=True):
            if parameter.stop_gradient:
                # It stays at y, for which the others are now trained, also when the average is evaluated.
                paddle.assign(in_type(parameter, mean.dtype), output=mean)
                continue
            paddle.assign(in_type(self.exact(parameter), last.dtype), output=last)
            mean.add_((last - mean) * fraction)
            between = mean + (last - mean) * (1.0 - self._config.momentum)
            paddle.assign(in_type(between, parameter.dtype), output=parameter)

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Replace the parameters by the average of the iterates; afterwards restore exactly the same ones."""
        with paddle.no_grad():
            kept = [parameter.detach().clone() for parameter in self._parameter_list]
            for mean, parameter in zip(self._mean, self._parameter_list, strict=False):
                paddle.assign(in_type(mean, parameter.dtype), output=parameter)
        try:
            yield
        finally:
            with paddle.no_grad():
                for backup, parameter in zip(kept, self._parameter_list, strict=True):
                    paddle.assign(backup, output=parameter)
