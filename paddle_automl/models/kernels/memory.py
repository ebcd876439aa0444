"""The memory order of feature maps between fast layers.

A fast layer's result is a tensor [N, H, W, C]. The network sees its transpose [N, C, H, W], a view without a copy,
which Paddle's autograd knows. The view has a reference to the underlying tensor: the next fast layer uses that one
and continues in the same memory, where gradients are added up too. Any other operator sees an ordinary tensor with
the right shape and values and gets the right gradient, only slower.
"""

from __future__ import annotations

from math import prod
from typing import Any

import paddle
from paddle import Tensor
from paddle.autograd import PyLayer

from paddle_automl.core.errors import UnsupportedError
from paddle_automl.models.kernels.library import BF16, F32
from paddle_automl.models.kernels.primitives import CACHE, Layout, Primitive, reorder
from paddle_automl.paddle_compat.memory import empty_on_cpu

_FIELD = "_channels_last_memory"
NUMBERS = {paddle.float32: F32, paddle.bfloat16: BF16}
"""dnnl_data_type_t of the types of feature maps."""
TO_LAST = {3: [0, 2, 1], 4: [0, 2, 3, 1]}
TO_FIRST = {3: [0, 2, 1], 4: [0, 3, 1, 2]}


def channels_last_order(rank: int) -> list[int]:
    """Return the axes of [N, C, ...] in memory order."""
    return [0, *range(2, rank), 1]


def count(x: Tensor) -> int:
    """Return how many values `x` has; Paddle's ``size`` takes as long as a small operation."""
    return prod(x.shape)


def needs_gradient(*tensors: Tensor | None) -> bool:
    """Return whether autograd has to record an operation on `tensors`."""
    return paddle.is_grad_enabled() and any(t is not None and not t.stop_gradient for t in tensors)


def logical(memory: Tensor) -> Tensor:
    """Return the view [N, C, ...] of a fast layer's result [N, ..., C]."""
    order = TO_FIRST.get(memory.ndim)
    if order is None:
        return memory
    view = memory.transpose(order)
    setattr(view, _FIELD, (memory, view.inplace_version))
    return view


def known(x: Tensor) -> Tensor | None:
    """Return the memory [N, ..., C] of a view made by `logical`, unless it was changed in place since."""
    memory: Tensor
    try:
        memory, version = getattr(x, _FIELD)
    except AttributeError:
        return None
    return memory if version == x.inplace_version else None


def channels_last(x: Tensor, dtype: paddle.dtype | None = None) -> Tensor:
    """Return `x` [N, C, ...] as contiguous [N, ..., C] in `dtype` (None: its own type), recorded by autograd."""
    memory = known(x)
    if memory is None:
        order = TO_LAST.get(x.ndim)
        if order is None:
            memory = x.contiguous()
        elif not x.is_contiguous() and (view := x.transpose(order)).is_contiguous():
            memory = view
        else:
            target = x.dtype if dtype is None else dtype
            return _run(_Pack, x.contiguous(), target)
    return memory if dtype is None or memory.dtype == dtype else cast(memory, dtype)


def plain(x: Tensor) -> Tensor:
    """Return `x` as an ordinary float32 tensor, which every operator of Paddle processes at full speed."""
    if not paddle.in_dynamic_mode():
        return x
    memory = known(x)
    if memory is not None:
        return _run(_Unpack, memory)
    if x.dtype == paddle.bfloat16 and x.place.is_cpu_place():
        return cast(x.contiguous(), paddle.float32)
    return x


def cast(x: Tensor, dtype: paddle.dtype) -> Tensor:
    """Return contiguous `x` in `dtype`, recorded by autograd."""
    return x if x.dtype == dtype else _run(_Cast, x, dtype)


def convert(x: Tensor, dtype: paddle.dtype) -> Tensor:
    """Return contiguous `x` in `dtype`, not recorded by autograd; `x` itself if it has that type already."""
    if x.dtype == dtype:
        return x
    result = empty_on_cpu(x.shape, dtype)
    CACHE.get(_converter, count(x), NUMBERS[x.dtype], NUMBERS[dtype])(x.data_ptr(), result.data_ptr())
    return result


def gradient(dy: Tensor, dtype: paddle.dtype) -> Tensor:
    """Return a gradient as a fast layer needs it: contiguous, in `dtype`.

    Raises UnsupportedError if it is to be differentiated again, which would silently give zeros; Paddle's engine
    turns that into its own exception with the same text.
    """
    if paddle.is_grad_enabled():
        raise UnsupportedError(
            "the gradient of a gradient (create_graph=True) has no fast path; run the forward pass outside of "
            "kernels.use, where Paddle's own operators have one"
        )
    return convert(dy if dy.is_contiguous() else dy.contiguous(), dtype)


def _converter(size: int, source: int, target: int) -> Primitive:
    return reorder(Layout.of([size], source), Layout.of([size], target))


def _packer(shape: tuple[int, ...], source: int, target: int) -> Primitive:
    return reorder(Layout.of(shape, source), Layout.of(shape, target, channels_last_order(len(shape))))


def _unpacker(shape: tuple[int, ...], source: int, target: int) -> Primitive:
    return reorder(Layout.of(shape, source, channels_last_order(len(shape))), Layout.of(shape, target))


def _pack(x: Tensor, dtype: paddle.dtype) -> Tensor:
    shape = x.shape
    result = empty_on_cpu([shape[0], *shape[2:], shape[1]], dtype)
    CACHE.get(_packer, tuple(shape), NUMBERS[x.dtype], NUMBERS[dtype])(x.data_ptr(), result.data_ptr())
    return result


def _unpack(memory: Tensor, dtype: paddle.dtype) -> Tensor:
    shape = memory.shape
    outside = [shape[0], shape[-1], *shape[1:-1]]
    result = empty_on_cpu(outside, dtype)
    CACHE.get(_unpacker, tuple(outside), NUMBERS[memory.dtype], NUMBERS[dtype])(
        memory.data_ptr(), result.data_ptr()
    )
    return result


def _run(kind: type[PyLayer], x: Tensor, *options: Any) -> Tensor:
    result: Tensor = kind.apply(x, *options) if needs_gradient(x) else kind.compute(x, *options)
    return result


class _Cast(PyLayer):
    """Change of type."""

    compute = staticmethod(convert)

    @staticmethod
    def forward(ctx: Any, x: Tensor, dtype: paddle.dtype) -> Tensor:
        ctx.dtype = x.dtype
        return convert(x, dtype)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> Tensor:
        return gradient(dy, ctx.dtype)


class _Pack(PyLayer):
    """Ordinary [N, C, ...] to [N, ..., C]."""

    compute = staticmethod(_pack)

    @staticmethod
    def forward(ctx: Any, x: Tensor, dtype: paddle.dtype) -> Tensor:
        ctx.dtype = x.dtype
        return _pack(x, dtype)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> Tensor:
        return _unpack(gradient(dy, dy.dtype), ctx.dtype)


class _Unpack(PyLayer):
    """[N, ..., C] to ordinary float32 [N, C, ...]."""

    @staticmethod
    def compute(memory: Tensor) -> Tensor:
        return _unpack(memory, paddle.float32)

    @staticmethod
    def forward(ctx: Any, memory: Tensor) -> Tensor:
        ctx.dtype = memory.dtype
        return _unpack(memory, paddle.float32)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> Tensor:
        return _pack(gradient(dy, dy.dtype), ctx.dtype)
