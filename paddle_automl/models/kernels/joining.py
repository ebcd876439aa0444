"""Operations where paths of a network join or split: sum, sum with ReLU, concatenation, use by several branches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import paddle
from paddle import Tensor
from paddle.autograd import PyLayer

from paddle_automl.core.errors import UnsupportedError
from paddle_automl.models.kernels.elementwise import RELU, Elementwise
from paddle_automl.models.kernels.library import BF16
from paddle_automl.models.kernels.memory import (
    NUMBERS,
    TO_LAST,
    channels_last,
    count,
    gradient,
    known,
    logical,
    needs_gradient,
)
from paddle_automl.models.kernels.primitives import CACHE, Layout, Primitive, add_relu, reorder, weighted_sum
from paddle_automl.paddle_compat.memory import empty_on_cpu

MOST_TERMS = 4


def _adder(size: int, dtype: int, terms: int) -> Primitive:
    return weighted_sum(Layout.of([size], dtype), [1.0] * terms)


def _relu_adder(size: int, dtype: int) -> Primitive:
    return add_relu(Layout.of([size], dtype))


def _total(terms: Sequence[Tensor]) -> Tensor:
    first = terms[0]
    y = empty_on_cpu(first.shape, first.dtype)
    primitive = CACHE.get(_adder, count(first), NUMBERS[first.dtype], len(terms))
    primitive(*(t.data_ptr() for t in terms), y.data_ptr())
    return y


def add(a: Tensor, b: Tensor, compute: paddle.dtype, *, relu: bool = False) -> Tensor:
    """Return a + b for maps of one shape [N, C, ...], with `relu` the positive part of the sum."""
    if a.shape != b.shape or a.ndim not in TO_LAST:
        raise UnsupportedError("only feature maps of one shape are added")
    a, b = channels_last(a, compute), channels_last(b, compute)
    training = needs_gradient(a, b)
    if not relu:
        return logical(_Add.apply(a, b) if training else _total([a, b]))
    number = NUMBERS[compute]
    forward = CACHE.get(_relu_adder, count(a), number)
    if not training:
        return logical(_add_relu(forward, a, b))
    activation = CACHE.get(Elementwise, count(a), number, *RELU[:3], True)
    return logical(_AddRelu.apply(forward, activation, a, b))


def _add_relu(forward: Primitive, a: Tensor, b: Tensor) -> Tensor:
    y = empty_on_cpu(a.shape, a.dtype)
    forward(a.data_ptr(), b.data_ptr(), y.data_ptr())
    return y


class _Add(PyLayer):
    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor) -> Tensor:
        ctx.wanted = not a.stop_gradient, not b.stop_gradient
        return _total([a, b])

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, Tensor | None]:
        return _for_both(gradient(dy, dy.dtype), ctx.wanted)


class _AddRelu(PyLayer):
    @staticmethod
    def forward(ctx: Any, forward: Primitive, activation: Elementwise, a: Tensor, b: Tensor) -> Tensor:
        y = _add_relu(forward, a, b)
        ctx.activation = activation
        ctx.wanted = not a.stop_gradient, not b.stop_gradient
        ctx.save_for_backward(y.detach())
        return y

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, Tensor | None]:
        (y,) = ctx.saved_tensor()
        return _for_both(ctx.activation.compute_gradient(y, dy), ctx.wanted)


def _for_both(d: Tensor, wanted: tuple[bool, bool]) -> tuple[Tensor | None, Tensor | None]:
    """Return `d` as the gradient of both terms.

    Paddle adds further gradients of a tensor to the first one in place, so two tensors must not share one.
    """
    first, second = wanted
    return d if first else None, (d.clone() if first else d) if second else None


class _Concat:
    """Concatenation of channels, for feature maps with a given number of pixels."""

    def __init__(self, pixels: int, channels: tuple[int, ...], dtype: int) -> None:
        total = sum(channels)
        self.joins: list[Primitive] = []
        self.parts: list[Primitive] = []
        for width in channels:
            part = Layout.of([pixels, width], dtype)
            place = Layout.strided([pixels, width], dtype, [total, 1])
            self.joins.append(reorder(part, place))
            self.parts.append(reorder(place, part))
        width = 2 if dtype == BF16 else 4
        self.offsets = [width * sum(channels[:index]) for index in range(len(channels))]


def concat(maps: Sequence[Tensor], compute: paddle.dtype) -> Tensor:
    """Return feature maps [N, C_i, ...] joined to one [N, sum of C_i, ...]; raises UnsupportedError otherwise."""
    first = maps[0]
    if any(m.ndim not in TO_LAST or [m.shape[0], *m.shape[2:]] != [first.shape[0], *first.shape[2:]] for m in maps):
        raise UnsupportedError("only feature maps with the same number of pixels are joined")
    memories = [channels_last(m, compute) for m in maps]
    channels = tuple(m.shape[1] for m in maps)
    operation = CACHE.get(_Concat, count(first) // first.shape[1], channels, NUMBERS[compute])
    if not needs_gradient(*memories):
        return logical(_join(operation, memories))
    return logical(_ConcatFunction.apply(operation, *memories))


def _join(operation: _Concat, memories: Sequence[Tensor]) -> Tensor:
    first = memories[0]
    y = empty_on_cpu([*first.shape[:-1], sum(m.shape[-1] for m in memories)], first.dtype)
    start = y.data_ptr()
    for primitive, offset, memory in zip(operation.joins, operation.offsets, memories, strict=True):
        primitive(memory.data_ptr(), start + offset)
    return y


class _ConcatFunction(PyLayer):
    @staticmethod
    def forward(ctx: Any, operation: _Concat, *memories: Tensor) -> Tensor:
        ctx.operation, ctx.dtype = operation, memories[0].dtype
        ctx.parts = [(m.shape, not m.stop_gradient) for m in memories]
        return _join(operation, memories)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> Any:
        dy = gradient(dy, ctx.dtype)
        start, result = dy.data_ptr(), []
        operation: _Concat = ctx.operation
        for primitive, offset, (shape, wanted) in zip(operation.parts, operation.offsets, ctx.parts, strict=True):
            piece = None
            if wanted:
                piece = empty_on_cpu(shape, dy.dtype)
                primitive(start + offset, piece.data_ptr())
            result.append(piece)
        return tuple(result) if len(result) > 1 else result[0]


def fork(x: Tensor, branches: int, compute: paddle.dtype) -> tuple[Tensor, ...]:
    """Return `x` once for each of the branches that use it.

    Results are correct without it, but slower: a map that does not come from a fast layer is then reordered by
    every branch, and Paddle adds up the branches' gradients, in bfloat16 ten times slower than the library.
    """
    if branches < 2 or (known(x) is None and x.ndim not in TO_LAST):
        return (x,) * branches
    memory = channels_last(x, compute)
    if memory.dtype != paddle.bfloat16 or not needs_gradient(memory):
        return (x if known(x) is memory else logical(memory),) * branches
    return tuple(logical(m) for m in _Fork.apply(memory, branches))


class _Fork(PyLayer):
    @staticmethod
    def forward(ctx: Any, x: Tensor, branches: int) -> tuple[Tensor, ...]:
        ctx.set_materialize_grads(False)
        return tuple(x.view(x.shape) for _ in range(branches))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> Tensor | None:
        given = [g for g in gradients if g is not None]
        terms = [gradient(g, paddle.bfloat16) for g in given]
        while len(terms) > 1:
            terms = [_total(terms[:MOST_TERMS]), *terms[MOST_TERMS:]]
        return terms[0] if terms else None
