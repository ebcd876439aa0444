"""Rounding to the numbers that 8 bits can hold, in one pass over the memory."""

from __future__ import annotations

import paddle
from paddle import Tensor

from paddle_automl.core.errors import UnsupportedError
from paddle_automl.models.kernels.library import F32
from paddle_automl.models.kernels.memory import channels_last, count, logical, needs_gradient
from paddle_automl.models.kernels.primitives import CACHE, Layout, Primitive, rounding
from paddle_automl.paddle_compat.memory import empty_on_cpu


def round_to(x: Tensor, step: float, least: int, most: int, compute: paddle.dtype) -> Tensor:
    """Return `x` [N, C, ...] rounded to whole multiples of `step`, from `least` to `most` of them.

    Raises UnsupportedError for another type than float32, and where a gradient is needed.
    """
    if compute != paddle.float32 or needs_gradient(x):
        raise UnsupportedError("values are only rounded in float32 and without a gradient")
    memory = channels_last(x, compute)
    y = empty_on_cpu(memory.shape, memory.dtype)
    operation = CACHE.get(_rounder, count(memory), step, least, most)
    factor = paddle.to_tensor([1 / step], dtype="float32", place=paddle.CPUPlace())
    operation(memory.data_ptr(), factor.data_ptr(), y.data_ptr())
    return logical(y)


def _rounder(size: int, step: float, least: int, most: int) -> Primitive:
    return rounding(Layout.of([size], F32), Layout.of([1], F32), step, float(least), float(most))
