"""Batch normalization, optionally with ReLU or GELU in the same pass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import paddle
from paddle import Tensor
from paddle.autograd import PyLayer

from paddle_automl.core.errors import UnsupportedError
from paddle_automl.models.kernels import native
from paddle_automl.models.kernels.elementwise import RELU, activate
from paddle_automl.models.kernels.library import (
    BACKWARD,
    F32,
    FORWARD_INFERENCE,
    FORWARD_TRAINING,
    FUSE_RELU,
    USE_GLOBAL_STATISTICS,
    USE_SCALE,
    USE_SHIFT,
    library,
)
from paddle_automl.models.kernels.memory import (
    NUMBERS,
    TO_FIRST,
    cast,
    channels_last,
    channels_last_order,
    gradient,
    logical,
    needs_gradient,
)
from paddle_automl.models.kernels.primitives import CACHE, Description, Layout, Primitive, scratch, weighted_sum
from paddle_automl.paddle_compat.memory import empty_on_cpu


@dataclass(frozen=True)
class Statistics:
    """Parameters and running statistics of a batch normalization, each [C], and its options."""

    scale: Tensor
    shift: Tensor
    mean: Tensor
    variance: Tensor
    momentum: float
    """Fraction of the old value that the running statistics keep in a step."""
    epsilon: float


class _Training:
    """Normalization by the statistics of the batch, and its gradient, for one set of shapes."""

    def __init__(self, shape: tuple[int, ...], dtype: int, relu: bool, epsilon: float) -> None:
        engine = library().engine
        x = Layout.of(shape, dtype, channels_last_order(len(shape)))
        channels = Layout.of([shape[1]], F32)
        flags = USE_SCALE | USE_SHIFT | (FUSE_RELU if relu else 0)
        forward = Description("batch_normalization_forward", engine, FORWARD_TRAINING, x, x, epsilon, flags, None)
        backward = Description(
            "batch_normalization_backward", engine, BACKWARD, x, x, x, epsilon, flags, forward, None
        )
        # The ReLU's mask: which results were positive, one bit each.
        self.workspace = forward.layout("workspace") if relu else None
        last = {} if self.workspace is None else {"workspace": self.workspace}
        vectors = {"mean": channels, "variance": channels, "scale": channels}
        self.forward = Primitive(forward, src=x, dst=x, **vectors, shift=channels, **last)
        self.backward = Primitive(
            backward, src=x, diff_dst=x, diff_src=x, **vectors, diff_scale=channels, diff_shift=channels, **last
        )


def _inference(shape: tuple[int, ...], dtype: int, relu: bool, epsilon: float) -> Primitive:
    x = Layout.of(shape, dtype, channels_last_order(len(shape)))
    channels = Layout.of([shape[1]], F32)
    flags = USE_GLOBAL_STATISTICS | USE_SCALE | USE_SHIFT | (FUSE_RELU if relu else 0)
    engine = library().engine
    description = Description("batch_normalization_forward", engine, FORWARD_INFERENCE, x, x, epsilon, flags, None)
    return Primitive(description, src=x, dst=x, mean=channels, variance=channels, scale=channels, shift=channels)


def _average(channels: int, momentum: float) -> Primitive:
    return weighted_sum(Layout.of([channels], F32), [momentum, 1.0 - momentum])


def batch_norm(x: Tensor, given: Statistics, *, training: bool, relu: bool, compute: paddle.dtype) -> Tensor:
    """Return `x` [N, C, ...] normalized, and with `relu` its positive part.

    With `training` it uses mean and (biased) variance of the batch and updates the running statistics, as Paddle
    does; else it uses the running statistics. Raises UnsupportedError if oneDNN does not support it or is slower
    than Paddle.
    """
    channels = x.shape[1]
    if x.ndim not in TO_FIRST:
        raise UnsupportedError(f"there is no fast batch normalization of {x.ndim} axes")
    if channels % 4:
        raise UnsupportedError("the library has fast code only for a multiple of 4 channels")
    # In bfloat16 for 24 channels the library takes 4 + 6 ms, in float32 with conversions 0.7 + 0.8. A ReLU in
    # the same pass for 12 channels takes 7 + 7 ms, separately 0.4 + 1.
    narrow = compute == paddle.bfloat16 and channels % 16 != 0
    apart = relu and channels % 8 != 0
    inner = paddle.float32 if narrow else compute
    if not training and needs_gradient(x, given.scale, given.shift):
        raise UnsupportedError("gradients through running statistics are left to Paddle")
    function = _by_batch if training else _by_running_statistics
    y = cast(function(x, given, relu and not apart, inner), compute)
    return activate(logical(y), RELU, compute) if apart else logical(y)


def _by_running_statistics(x: Tensor, given: Statistics, relu: bool, compute: paddle.dtype) -> Tensor:
    primitive = CACHE.get(_inference, tuple(x.shape), NUMBERS[compute], relu, given.epsilon)
    x = channels_last(x, compute)
    y = empty_on_cpu(x.shape, compute)
    vectors = (given.mean, given.variance, given.scale, given.shift)
    primitive(x.data_ptr(), y.data_ptr(), *(v.data_ptr() for v in vectors))
    return y


def _by_batch(x: Tensor, given: Statistics, relu: bool, compute: paddle.dtype) -> Tensor:
    operation = CACHE.get(_Training, tuple(x.shape), NUMBERS[compute], relu, given.epsilon)
    average = CACHE.get(_average, x.shape[1], given.momentum)
    x = channels_last(x, compute)
    if not needs_gradient(x, given.scale, given.shift):
        return _normalize(operation, average, x, given)[0]
    y: Tensor = _BatchNorm.apply(operation, average, x, given.scale, given.shift, given)
    return y


def _normalize(
    operation: _Training, average: Primitive, x: Tensor, given: Statistics
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Return y, mean and variance of the batch as one array [2, C], and the mask of the ReLU."""
    y = empty_on_cpu(x.shape, x.dtype)
    channels = x.shape[-1]
    batch = empty_on_cpu([2, channels], paddle.float32)
    mean, variance = _rows(batch)
    mask = None if operation.workspace is None else scratch(operation.workspace)
    last = () if mask is None else (mask.data_ptr(),)
    scale, shift = given.scale.data_ptr(), given.shift.data_ptr()
    operation.forward(x.data_ptr(), y.data_ptr(), mean, variance, scale, shift, *last)
    for running, current in ((given.mean, mean), (given.variance, variance)):
        average(running.data_ptr(), current, running.data_ptr())
    return y, batch, mask


def _rows(array: Tensor) -> tuple[int, int]:
    """Return the addresses of the two rows of a float32 array [2, C]."""
    first = array.data_ptr()
    return first, first + 4 * array.shape[1]


class _BatchNorm(PyLayer):
    @staticmethod
    def forward(
        ctx: Any,
        operation: _Training,
        average: Primitive,
        x: Tensor,
        scale: Tensor,
        shift: Tensor,
        given: Statistics,
    ) -> Tensor:
        y, ctx.batch, ctx.mask = _normalize(operation, average, x, given)
        ctx.operation = operation
        ctx.save_for_backward(x, scale, shift)
        return y

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> Any:
        x, scale, shift = ctx.saved_tensor()
        operation: _Training = ctx.operation
        dy = gradient(dy, x.dtype)
        dx = empty_on_cpu(x.shape, x.dtype)
        dscale, dshift = empty_on_cpu(scale.shape, paddle.float32), empty_on_cpu(scale.shape, paddle.float32)
        mean, variance = _rows(ctx.batch)
        last = () if ctx.mask is None else (ctx.mask.data_ptr(),)
        operation.backward(
            x.data_ptr(), dy.data_ptr(), dx.data_ptr(), mean, variance, scale.data_ptr(),
            dscale.data_ptr(), dshift.data_ptr(), *last,
        )  # fmt: skip
        wanted = ((x, dx), (scale, dscale), (shift, dshift))
        return tuple(None if t.stop_gradient else found for t, found in wanted)


def batch_norm_gelu(x: Tensor, given: Statistics, *, compute: paddle.dtype) -> Tensor | None:
    """Return the tanh form of GELU of `x` [N, C, ...] normalized as in training, in one pass.

    As `batch_norm` it updates the running statistics. None if the compiled code cannot be used or no gradient is
    needed.
    """
    if x.ndim not in TO_FIRST or not native.available(compute) or not needs_gradient(x, given.scale, given.shift):
        return None
    return logical(_BatchNormGelu.apply(channels_last(x, compute), given.scale, given.shift, given))


class _BatchNormGelu(PyLayer):
    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor, shift: Tensor, given: Statistics) -> Tensor:
        running = given.mean, given.variance
        options = {"momentum": given.momentum, "epsilon": given.epsilon}
        y, ctx.batch = native.normalize_gelu(x, scale, shift, running, **options)
        ctx.save_for_backward(x, scale, shift)
        return y

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> Any:
        x, scale, shift = ctx.saved_tensor()
        dy = gradient(dy, x.dtype)
        found = native.normalize_gelu_gradient(x, dy, scale, shift, ctx.batch)
        return tuple(None if t.stop_gradient else d for t, d in zip((x, scale, shift), found, strict=True))
