"""Activations: functions of single values."""

from __future__ import annotations

from typing import Any, NamedTuple

import paddle
from paddle import Tensor
from paddle.autograd import PyLayer

from paddle_automl.models.kernels import native
from paddle_automl.models.kernels.library import (
    ALGORITHMS,
    FORWARD_INFERENCE,
    FORWARD_TRAINING,
    library,
)
from paddle_automl.models.kernels.memory import (
    NUMBERS,
    TO_LAST,
    channels_last,
    count,
    gradient,
    logical,
    needs_gradient,
)
from paddle_automl.models.kernels.primitives import CACHE, Description, Layout, Primitive
from paddle_automl.paddle_compat.memory import empty_on_cpu


class Function(NamedTuple):
    """An activation: its number in the library, and its two parameters."""

    algorithm: str
    alpha: float = 0.0
    beta: float = 0.0

    @property
    def from_result(self) -> bool:
        """Whether the gradient is computed from the result, so that the input need not be kept."""
        return self.algorithm.endswith("_use_dst_for_bwd")


RELU = Function("eltwise_relu_use_dst_for_bwd")
RELU6 = Function("eltwise_clip_v2_use_dst_for_bwd", 0.0, 6.0)
TANH = Function("eltwise_tanh")
SIGMOID = Function("eltwise_logistic")
SILU = Function("eltwise_swish", 1.0)
GELU = Function("eltwise_gelu_erf")
GELU_TANH = Function("eltwise_gelu_tanh")
HARDSWISH = Function("eltwise_hardswish", 1 / 6, 0.5)
HARDSIGMOID = Function("eltwise_hardsigmoid", 1 / 6, 0.5)
MISH = Function("eltwise_mish")


def leaky_relu(slope: float) -> Function:
    """Return x where positive, else `slope` x; `slope` must not be negative."""
    return Function("eltwise_relu_use_dst_for_bwd", slope)


def elu(alpha: float) -> Function:
    """Return x where positive, else `alpha` (exp(x) - 1)."""
    return Function("eltwise_elu", alpha)


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
            kept = "dst" if Function(algorithm).from_result else "src"
            self.backward = Primitive(backward, **{kept: layout}, diff_dst=layout, diff_src=layout)

    def compute(self, x: Tensor) -> Tensor:
        """Return the function of `x`."""
        y = empty_on_cpu(x.shape, x.dtype)
        self.forward(x.data_ptr(), y.data_ptr())
        return y

    def compute_gradient(self, kept: Tensor, dy: Tensor) -> Tensor:
        """Return the gradient of the input; `kept` is the result or the input, as the algorithm requires."""
        dy = gradient(dy, kept.dtype)
        dx = empty_on_cpu(kept.shape, kept.dtype)
        self.backward(kept.data_ptr(), dy.data_ptr(), dx.data_ptr())
        return dx


class _CompiledGelu:
    """`Elementwise` for the tanh form of GELU in compiled code."""

    compute = staticmethod(native.gelu)

    @staticmethod
    def compute_gradient(kept: Tensor, dy: Tensor) -> Tensor:
        return native.gelu_gradient(kept, gradient(dy, kept.dtype))


_COMPILED_GELU = _CompiledGelu()


def compiled(function: Function, dtype: paddle.dtype) -> bool:
    """Return whether `function` has compiled code of our own that works here."""
    return function == GELU_TANH and native.available(dtype)


def activate(x: Tensor, function: Function, compute: paddle.dtype) -> Tensor:
    """Return `function` of `x`, of any shape; feature maps are computed in `compute`, others in their type."""
    training = needs_gradient(x)
    memory = channels_last(x, compute if x.ndim in TO_LAST else None)
    operation: Elementwise | _CompiledGelu
    if compiled(function, memory.dtype):
        operation = _COMPILED_GELU
    else:
        operation = CACHE.get(Elementwise, count(x), NUMBERS[memory.dtype], *function[:3], training)
    if not training:
        return logical(operation.compute(memory))
    return logical(_Activation.apply(operation, memory, function))


class _Activation(PyLayer):
    @staticmethod
    def forward(ctx: Any, operation: Elementwise | _CompiledGelu, x: Tensor, function: Function) -> Tensor:
        y = operation.compute(x)
        ctx.operation = operation
        # Paddle never frees a result that its own node keeps, unless the node keeps it detached.
        ctx.save_for_backward(y.detach() if function.from_result else x)
        return y

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> Tensor:
        (kept,) = ctx.saved_tensor()
        dx: Tensor = ctx.operation.compute_gradient(kept, dy)
        return dx


def bias_activation(x: Tensor, bias: Tensor, function: Function, compute: paddle.dtype) -> Tensor:
    """Return `function`, which is `compiled`, of a fast layer's result `x` [N, C, ...] that has no gradient.

    `bias` [C] was added to `x` already; its gradient is summed up without storing that of `x`.
    """
    x = channels_last(x, compute)
    return logical(_BiasGelu.apply(x, bias) if needs_gradient(bias) else native.gelu(x))


class _BiasGelu(PyLayer):
    @staticmethod
    def forward(ctx: Any, x: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return native.gelu(x)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> Any:
        (x,) = ctx.saved_tensor()
        return None, native.gelu_bias_gradient(x, gradient(dy, x.dtype))
