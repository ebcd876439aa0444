"""Activations: functions of single values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import paddle
from paddle import Tensor
from paddle.autograd import PyLayer
from paddle.nn import functional as F

from paddle_automl.models.kernels.library import (
    ALGORITHMS,
    FORWARD_INFERENCE,
    FORWARD_TRAINING,
    Unsupported,
    library,
)
from paddle_automl.models.kernels.memory import (
    NUMBERS,
    TO_LAST,
    channels_last,
    empty,
    gradient,
    logical,
    needs_gradient,
)
from paddle_automl.models.kernels.primitives import CACHE, Description, Layout, Primitive


class Function(NamedTuple):
    """An activation: what the library calls it, its two numbers, and the same by Paddle's operators."""

    algorithm: str
    alpha: float
    beta: float
    plain: Callable[[Tensor], Tensor]
    derivative: Callable[[Tensor], Tensor] | None = None
    """For functions of straight pieces: the slope, told from the result. It is constant on each piece, so that
    keeping the result alone is enough, also for the gradient of a gradient."""


def _silu(x: Tensor) -> Tensor:
    return x * F.sigmoid(x)


def _positive(y: Tensor) -> Tensor:
    return (y > 0).astype("float32")


def _inside(y: Tensor) -> Tensor:
    return _positive(y) * _positive(6.0 - y)


RELU = Function("eltwise_relu_use_dst_for_bwd", 0.0, 0.0, F.relu, _positive)
RELU6 = Function("eltwise_clip_v2_use_dst_for_bwd", 0.0, 6.0, F.relu6, _inside)
TANH = Function("eltwise_tanh", 0.0, 0.0, paddle.tanh)
SIGMOID = Function("eltwise_logistic", 0.0, 0.0, F.sigmoid)
SILU = Function("eltwise_swish", 1.0, 0.0, _silu)
GELU = Function("eltwise_gelu_erf", 0.0, 0.0, F.gelu)
GELU_TANH = Function("eltwise_gelu_tanh", 0.0, 0.0, lambda x: F.gelu(x, approximate=True))
HARDSWISH = Function("eltwise_hardswish", 1 / 6, 0.5, F.hardswish)
HARDSIGMOID = Function("eltwise_hardsigmoid", 1 / 6, 0.5, F.hardsigmoid)
MISH = Function("eltwise_mish", 0.0, 0.0, F.mish)


def leaky_relu(slope: float) -> Function:
    """Return x where positive, else `slope` x; raises Unsupported for a negative `slope`."""
    if slope < 0:
        raise Unsupported("the slope of a leaky ReLU falling on both sides cannot be told from its result")
    return Function(
        "eltwise_relu_use_dst_for_bwd", slope, 0.0,
        lambda x: F.leaky_relu(x, slope), lambda y: slope + (1 - slope) * _positive(y),
    )  # fmt: skip


def elu(alpha: float) -> Function:
    """Return x where positive, else `alpha` (exp(x) - 1)."""
    return Function("eltwise_elu", alpha, 0.0, lambda x: F.elu(x, alpha))


class Elementwise:
    """One activation for a number of values."""

    def __init__(self, size: int, dtype: int, algorithm: str, alpha: float, beta: float, training: bool) -> None:
        layout = Layout.of([size], dtype)
        number, engine = ALGORITHMS[algorithm], library().engine
        mode = FORWARD_TRAINING if training else FORWARD_INFERENCE
        forward = Description("eltwise_forward", engine, mode, number, layout, layout, alpha, beta, None)
        self.forward = Primitive(forward, src=layout, dst=layout)
        if training:
            backward = Description(
                "eltwise_backward", engine, number, layout, layout, layout, alpha, beta, forward, None
            )
            kept = "dst" if algorithm.endswith("_use_dst_for_bwd") else "src"
            self.backward = Primitive(backward, **{kept: layout}, diff_dst=layout, diff_src=layout)

    def compute(self, x: Tensor) -> Tensor:
        """Return the function of `x`."""
        y = empty(x.shape, x.dtype)
        self.forward(x.data_ptr(), y.data_ptr())
        return y

    def compute_gradient(self, kept: Tensor, dy: Tensor) -> Tensor:
        """Return the gradient of the input; `kept` is the result or the input, as the algorithm wants."""
        dy = gradient(dy, kept.dtype)
        dx = empty(kept.shape, kept.dtype)
        self.backward(kept.data_ptr(), dy.data_ptr(), dx.data_ptr())
        return dx


def activate(x: Tensor, function: Function, compute: paddle.dtype) -> Tensor:
    """Return `function` of `x`, of any shape; feature maps are computed in `compute`, other tensors as they are."""
    training = needs_gradient(x)
    memory = channels_last(x, compute if x.ndim in TO_LAST else None)
    operation = CACHE.get(Elementwise, x.size, NUMBERS[memory.dtype], *function[:3], training)
    if not training:
        return logical(operation.compute(memory))
    return logical(_Activation.apply(operation, memory, function))


class _Activation(PyLayer):
    @staticmethod
    def forward(ctx: Any, operation: Elementwise, x: Tensor, function: Function) -> Tensor:
        y = operation.compute(x)
        ctx.operation, ctx.function = operation, function
        # Paddle never frees a result that its own node keeps, unless the node knows it only detached.
        ctx.save_for_backward(x if function.derivative is None else y.detach())
        return y

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> Tensor:
        (kept,) = ctx.saved_tensor()
        function: Function = ctx.function
        if not paddle.is_grad_enabled():
            dx: Tensor = ctx.operation.compute_gradient(kept, dy)
            return dx
        if function.derivative is not None:
            return (dy.astype("float32") * function.derivative(kept.astype("float32"))).astype(kept.dtype)
        return differentiable(  # type: ignore[no-any-return]
            lambda x: function.plain(x.astype("float32")).astype(x.dtype), (kept,), dy
        )
