"""Sharpness-aware minimization."""

from __future__ import annotations

from collections.abc import Sequence

import paddle
from paddle import Tensor
from pydantic import Field

from paddle_automl.training.optimizers._wrapping import Wrapped, WrapperConfig, build_base
from paddle_automl.training.optimizers.base import OPTIMIZERS, Optimizer, ParameterGroup, TwoPassOptimizer


@OPTIMIZERS.register("sam")
class Sam(Optimizer):
    """Sharpness-aware minimization: steps with the gradient at a nearby point of higher loss (Foret et al. 2021).

    Algorithm 1 of arXiv:2010.01412. The base steps with the gradient at p + radius g / |g|, where |g| is the norm
    of all gradients together: flat minima win over sharp ones. `adaptive` measures the radius in units of the
    weights (Kwon et al. 2021, arXiv:2102.11600, eq. 6): p + radius p^2 g / | |p| g |. Every step takes two forward
    and two backward passes, so an epoch takes about twice as long; clipping and centralization concern the second
    gradient.
    """

    wraps = True

    class Config(WrapperConfig):
        """Options of SAM."""

        radius: float = Field(0.05, gt=0)
        """Distance of the point from the weights (rho in the paper); with adaptive about ten times as large."""
        adaptive: bool = False
        """Measure the distance of each weight in units of that weight."""

    config: Config

    def build(  # noqa: D102
        self, groups: Sequence[ParameterGroup], clip: paddle.nn.ClipGradBase | None
    ) -> paddle.optimizer.Optimizer:
        return _Sam(build_base(self.config, groups, clip), self.config)


class _Sam(Wrapped, TwoPassOptimizer):
    def __init__(self, base: paddle.optimizer.Optimizer, config: Sam.Config) -> None:
        super().__init__(base)
        self._config = config
        self._kept: list[tuple[Tensor, Tensor]] = []

    @paddle.no_grad()
    def climb(self) -> None:
        moved = [item for item in self._parameter_list if not item.stop_gradient and item.grad is not None]
        if not moved:
            return
        scaled = [item.grad * item.abs() if self._config.adaptive else item.grad for item in moved]
        squares = [direction.astype("float32").square().sum() for direction in scaled]
        scale = self._config.radius / (paddle.stack(squares).sum().sqrt() + 1e-12)
        self._kept = [(item, item.detach().clone()) for item in moved]
        for item, direction in zip(moved, scaled, strict=True):
            step = direction * item.abs() if self._config.adaptive else direction
            item.add_((step.astype("float32") * scale).astype(item.dtype))
        self.base.clear_grad(set_to_zero=False)

    @paddle.no_grad()
    def descend(self) -> None:
        for item, kept in self._kept:
            paddle.assign(kept, output=item)
        self._kept = []
