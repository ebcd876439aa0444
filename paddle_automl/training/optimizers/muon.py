"""Muon."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import paddle
from paddle import Tensor
from pydantic import Field

from paddle_automl.core.errors import ConfigError
from paddle_automl.models.kinds import Kind
from paddle_automl.training.optimizers._rule import RuleOptimizer
from paddle_automl.training.optimizers.base import (
    OPTIMIZERS,
    Optimizer,
    OptimizerConfig,
    ParameterGroup,
    Units,
    decay_by_name,
    decoupled_unit,
)

if TYPE_CHECKING:
    from typing_extensions import Self

QUINTIC = (3.4445, -4.7750, 2.0315)
"""Coefficients of Jordan et al. 2024: singular values between about 0.7 and 1.2 after five iterations."""


ORTHOGONAL: frozenset[Kind] = frozenset({"kernel", "matrix"})
"""Kinds of parameters whose steps are made orthogonal."""
REFERENCE_BATCH = 2000
"""Batch size of airbench94_muon, for which a learning rate in decoupled units is given."""


@OPTIMIZERS.register("muon")
class Muon(Optimizer):
    """Momentum whose steps are made orthogonal, for kernels and matrices (Jordan et al. 2024).

    See kellerjordan.github.io/posts/muon. v <- momentum v + g; u = orthogonal(g + momentum v);
    p <- p - rate (sqrt(max(1, out / in)) u + decay p). A kernel [out, in, *window] counts as a matrix
    [out, in window]; `orthogonal` is `iterations` steps of Newton and Schulz's iteration
    X <- a X + b X X' X + c (X X')^2 X. The head, biases and scales take steps of gradient descent with Nesterov's
    momentum, p <- p - rate (g + momentum v + decay p), with the rate descent_rate.

    For convolutions that a normalization follows, Jordan's CIFAR-10 speed run (2024, airbench94_muon) rescales each
    kernel to the norm sqrt(out) before a step and takes three iterations: here normalize_kernels, iterations 3,
    momentum 0.6, and in decoupled units learning_rate 0.24, descent_rate 416, descent_momentum 0.85 and
    training.rates.head 12.6.
    """

    class Config(OptimizerConfig):
        """Options of Muon."""

        learning_rate: float = Field(0.02, gt=0)
        """Largest step size of kernels and matrices; the schedule multiplies it."""
        descent_rate: float = Field(0.05, gt=0)
        """Largest step size of head, biases and scales; the schedule multiplies it."""
        weight_decay: float = Field(0.0, ge=0)
        """Pull of kernels and weights towards zero; biases and the scales of normalizations are left alone."""
        momentum: float = Field(0.95, ge=0, lt=1)
        """Fraction of the velocity of kernels and matrices that is kept."""
        descent_momentum: float = Field(0.9, ge=0, lt=1)
        """Fraction of the velocity of head, biases and scales that is kept."""
        iterations: int = Field(5, ge=1, le=20)
        """Newton-Schulz iterations of a step."""
        normalize_kernels: bool = False
        """Rescale each kernel that a normalization follows to the norm sqrt(out) before its step."""
        units: Units = "step"
        """Unit of the rates. step: those of a step on the mean loss. decoupled: a step has sqrt(batch_size / 2000)
        of learning_rate, and as with momentum batch_size / (1024 (1 + 1 / (1 - descent_momentum))) of
        descent_rate."""

        def unit(self, kind: Kind, batch_size: int) -> float:  # noqa: D102
            if self.units == "step":
                return 1.0
            if kind in ORTHOGONAL:
                return math.sqrt(batch_size / REFERENCE_BATCH)
            return decoupled_unit(self.descent_momentum, batch_size)

        def check(self, kinds: Collection[Kind]) -> None:  # noqa: D102
            if self.normalize_kernels and "kernel" in kinds and not {"norm_scale", "norm_bias"} & set(kinds):
                raise ConfigError(
                    "training.optimizer.normalize_kernels: must be false for a network without normalization: its "
                    "outputs depend on the norm of its kernels; or set model.norm: batch_norm"
                )

        def scaled(self, factor: float) -> Self:  # noqa: D102
            return super().scaled(factor).model_copy(update={"descent_rate": self.descent_rate * factor})

    config: Config
    decay_in_gradient = False

    def build(  # noqa: D102
        self, groups: Sequence[ParameterGroup], clip: paddle.nn.ClipGradBase | None
    ) -> paddle.optimizer.Optimizer:
        options = self.options(groups, clip)
        kinds = {parameter.name: kind for group in groups for parameter, kind, _ in group}
        for parameter in options["parameters"]:
            if kinds[parameter.name] not in ORTHOGONAL:
                # Paddle knows one learning rate, which the schedule sets.
                parameter.optimize_attr["learning_rate"] *= self.config.descent_rate / self.config.learning_rate
        rescaled = {
            parameter.name
            for group in groups
            for parameter, free in zip(group.parameters, group.scale_free, strict=False)
            if free and self.config.normalize_kernels
        }
        decay = decay_by_name(groups, self.config.weight_decay)
        return _Muon(self.config, kinds, rescaled, decay=decay, **options)


class _Muon(RuleOptimizer):
    def __init__(
        self, config: Muon.Config, kinds: Mapping[str, Kind], rescaled: Collection[str], **options: Any
    ) -> None:
        super().__init__(**options)
        self._config, self._kinds, self._rescaled = config, kinds, rescaled

    def update(self, name: str, parameter: Tensor, gradient: Tensor, rate: Tensor, *states: Tensor) -> None:
        config, (velocity,) = self._config, states
        kind = self._kinds[name]
        orthogonal = kind in ORTHOGONAL
        momentum = config.momentum if orthogonal else config.descent_momentum
        velocity.scale_(momentum).add_(gradient)
        step = gradient + velocity * momentum
        if orthogonal:
            step = _orthogonal_step(step, config.iterations)
        if name in self._rescaled:
            parameter.multiply_(math.sqrt(parameter.shape[0]) / _norm(parameter).clip(min=1e-7))
        if decay := self.decay.get(name, 0.0):
            step += parameter * decay
        parameter.subtract_(step * rate)


def _orthogonal_step(step: Tensor, iterations: int) -> Tensor:
    """Return an orthogonal step in the shape of the kernel or matrix, scaled by sqrt(max(1, out / in))."""
    kernel = step.ndim > 2
    matrix = step.flatten(1) if kernel else step
    rows, columns = matrix.shape
    out, into = (rows, columns) if kernel else (columns, rows)
    return (orthogonal(matrix, iterations) * math.sqrt(max(1.0, out / into))).reshape(step.shape)


def orthogonal(matrix: Tensor, iterations: int) -> Tensor:
    """Return approximately the orthogonal factor U V' of `matrix` = U S V', by the Newton-Schulz iteration.

    All iterations run on the smaller Gram matrix: X_k = P_k X_0 with P_{k+1} = (a + b G_k + c G_k^2) P_k and
    G_k = X_k X_k', so that two large products suffice for any number of iterations. The norm of X_0 is the root of
    the trace of G_0: Paddle's own norm takes as long as the products, and is wrong in the fourth digit.
    """
    if matrix.shape[0] > matrix.shape[1]:
        return orthogonal(matrix.t(), iterations).t()
    a, b, c = QUINTIC
    gram = paddle.matmul(matrix, matrix, transpose_y=True)
    scale = 1.0 / (paddle.trace(gram).sqrt() + 1e-7)
    gram = gram * (scale * scale)
    identity = paddle.eye(gram.shape[0]) * a
    total: Tensor | None = None
    for index in range(iterations):
        polynomial = paddle.addmm(identity + gram * b, gram, gram, alpha=c)
        total = polynomial if total is None else paddle.matmul(polynomial, total)
        if index + 1 < iterations:
            gram = paddle.matmul(paddle.matmul(polynomial, gram), polynomial)
    assert total is not None
    return paddle.matmul(total * scale, matrix)


def _norm(parameter: Tensor) -> Tensor:
    """Return the norm as one inner product, which takes a fiftieth of the time of Paddle's."""
    flat = parameter.flatten()
    return paddle.matmul(flat, flat).sqrt()
