"""Maximum and mean over windows in one and two dimensions."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import paddle
from paddle import Tensor
from paddle.autograd import PyLayer

from paddle_automl.core.errors import UnsupportedError
from paddle_automl.models.kernels.library import (
    ALGORITHMS,
    FORWARD_INFERENCE,
    FORWARD_TRAINING,
    Dims,
    library,
)
from paddle_automl.models.kernels.memory import (
    NUMBERS,
    cast,
    channels_last,
    channels_last_order,
    gradient,
    logical,
    needs_gradient,
)
from paddle_automl.models.kernels.primitives import CACHE, Description, Layout, Primitive, scratch
from paddle_automl.paddle_compat.memory import empty_on_cpu

Kind = Literal["max", "mean", "mean_with_zeros"]
_ALGORITHMS = {
    "max": "pooling_max",
    "mean": "pooling_avg_exclude_padding",
    "mean_with_zeros": "pooling_avg_include_padding",
}


class Window(NamedTuple):
    """Size, stride and padding on both sides of a window, one number per spatial axis."""

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    ceil_mode: bool = False
    """Round the number of windows up, so that the last one may extend beyond the edge."""


class _Pooling:
    """Pooling of [N, C, ...] for one set of shapes."""

    def __init__(self, shape: tuple[int, ...], window: Window, kind: Kind, dtype: int, training: bool) -> None:
        batch, channels, *sizes = shape
        result, high = [], []
        for size, kernel, stride, low in zip(sizes, *window[:3], strict=True):
            span = size + 2 * low - kernel
            count = (-(-span // stride) if window.ceil_mode else span // stride) + 1
            if window.ceil_mode and (count - 1) * stride >= size + low:
                raise UnsupportedError("a window lies completely in the padding")
            result.append(count)
            high.append((count - 1) * stride + kernel - size - low)
        if window.ceil_mode and kind == "mean_with_zeros":
            raise UnsupportedError("oneDNN defines the mean with padding over windows beyond the edge differently")
        if min(result) < 1 or any(low >= k for low, k in zip(window.padding, window.kernel, strict=True)):
            raise UnsupportedError("the window does not fit")
        self.result_shape = [batch, *result, channels]
        order = channels_last_order(len(shape))
        x, y = Layout.of(shape, dtype, order), Layout.of([batch, channels, *result], dtype, order)
        numbers = (
            Dims(*window.stride), Dims(*window.kernel), Dims(), Dims(*window.padding), Dims(*high),
        )  # fmt: skip
        algorithm, engine = ALGORITHMS[_ALGORITHMS[kind]], library().engine
        mode = FORWARD_TRAINING if training else FORWARD_INFERENCE
        forward = Description("pooling_forward", engine, mode, algorithm, x, y, *numbers, None)
        self.workspace = forward.layout("workspace") if training and kind == "max" else None
        last = {} if self.workspace is None else {"workspace": self.workspace}
        self.forward = Primitive(forward, src=x, dst=y, **last)
        if training:
            backward = Description("pooling_backward", engine, algorithm, x, y, *numbers, forward, None)
            self.backward = Primitive(backward, diff_dst=y, diff_src=x, **last)

    def compute(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the result and where each maximum was."""
        y = empty_on_cpu(self.result_shape, x.dtype)
        places = None if self.workspace is None else scratch(self.workspace)
        self.forward(x.data_ptr(), y.data_ptr(), *(() if places is None else (places.data_ptr(),)))
        return y, places


def pool(x: Tensor, window: Window, kind: Kind, compute: paddle.dtype) -> Tensor:
    """Return the maximum or mean of `x` [N, C, ...] over windows; raises UnsupportedError if oneDNN cannot."""
    return logical(_pool(x, window, kind, compute))


def global_pool(x: Tensor, kind: Kind, compute: paddle.dtype) -> Tensor:
    """Return maximum or mean over all pixels, as an ordinary float32 tensor [N, C, 1, ...]."""
    sizes = tuple(x.shape[2:])
    ones = (1,) * len(sizes)
    y = _pool(x, Window(sizes, ones, (0,) * len(sizes)), kind, compute)
    return cast(y, paddle.float32).reshape([x.shape[0], x.shape[1], *ones])


def _pool(x: Tensor, window: Window, kind: Kind, compute: paddle.dtype) -> Tensor:
    training = needs_gradient(x)
    operation = CACHE.get(_Pooling, tuple(x.shape), window, kind, NUMBERS[compute], training)
    x = channels_last(x, compute)
    if not training:
        return operation.compute(x)[0]
    y: Tensor = _Pool.apply(operation, x)
    return y


class _Pool(PyLayer):
    @staticmethod
    def forward(ctx: Any, operation: _Pooling, x: Tensor) -> Tensor:
        y, ctx.places = operation.compute(x)
        ctx.operation = operation
        ctx.shape, ctx.dtype = x.shape, x.dtype
        return y

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> Tensor:
        dy = gradient(dy, ctx.dtype)
        dx = empty_on_cpu(ctx.shape, ctx.dtype)
        last = () if ctx.places is None else (ctx.places.data_ptr(),)
        ctx.operation.backward(dy.data_ptr(), dx.data_ptr(), *last)
        return dx
