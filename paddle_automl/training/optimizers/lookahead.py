"""Lookahead."""

from __future__ import annotations

from collections.abc import Sequence

import paddle
from pydantic import Field

from paddle_automl.training.optimizers._wrapping import Wrapped, WrapperConfig, build_base, float32_copy, in_type
from paddle_automl.training.optimizers.base import OPTIMIZERS, Optimizer, ParameterGroup


@OPTIMIZERS.register("lookahead")
class Lookahead(Optimizer):
    """Slow weights that move towards those of another optimizer every few steps (Zhang et al. 2019, algorithm 1).

    After every `steps` steps of the base: slow <- slow + fraction (p - slow); p <- slow. In between, also at the
    end of an epoch that does not end with such a step, the weights are those of the base.
    """

    wraps = True

    class Config(WrapperConfig):
        """Options of lookahead."""

        steps: int = Field(5, ge=1)
        """Steps of the base between two updates of the slow weights (k in the paper)."""
        fraction: float = Field(0.5, gt=0, le=1)
        """Fraction of the distance that the slow weights move (alpha in the paper)."""

    config: Config

    def build(  # noqa: D102
        self, groups: Sequence[ParameterGroup], clip: paddle.nn.ClipGradBase | None
    ) -> paddle.optimizer.Optimizer:
        return _Lookahead(build_base(self.config, groups, clip), self.config)


class _Lookahead(Wrapped):
    def __init__(self, base: paddle.optimizer.Optimizer, config: Lookahead.Config) -> None:
        super().__init__(base)
        self._config, self._done = config, 0
        self._slow: list[paddle.Tensor] = []

    @paddle.no_grad()
    def step(self) -> None:
        if not self._slow:
            # Not in __init__: weights may be loaded, or change their type, before the first step.
            self._slow = [float32_copy(parameter) for parameter in self._parameter_list]
        self.base.step()
        self._done += 1
        if self._done % self._config.steps:
            return
        for slow, parameter in zip(self._slow, self._parameter_list, strict=True):
            if parameter.stop_gradient:
                # It no longer changes, so it is not pulled back either.
                continue
            slow.add_((in_type(self.exact(parameter), slow.dtype) - slow) * self._config.fraction)
            self.place(slow, parameter)
