"""The common base of convolutions and linear layers: reordered weights, and gradients of input, weights and bias.

Weights, bias and their gradients are float32 in Paddle's own order; inside, the library chooses the order and, for
bfloat16, the weights are rounded in each forward pass.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import paddle
from paddle import Tensor
from paddle.autograd import PyLayer

from paddle_automl.models.kernels.library import BF16, F32
from paddle_automl.models.kernels.memory import convert, gradient, needs_gradient
from paddle_automl.models.kernels.primitives import Description, Layout, Primitive, reorder, scratch
from paddle_automl.paddle_compat.memory import empty_on_cpu

TYPES = {F32: paddle.float32, BF16: paddle.bfloat16}


class Needs(NamedTuple):
    """The gradients that will be needed after a forward pass."""

    inputs: bool
    weights: bool

    @property
    def any(self) -> bool:
        """Whether there will be a backward pass."""
        return self.inputs or self.weights


class Weighted(ABC):
    """y = W x + b for one set of shapes; subclasses describe it for the library.

    `source`, `target`: functions from a type to the layout of x or y. `weights`: shape and memory order of Paddle's
    weights. `rounded_order`: order in which weights of another type are stored before the library reorders them
    (None: they are not). `result_shape`: shape of y in memory. `gradient_types`: types for the gradients of x and
    of the weights, if the library is slow in the type of x.
    """

    source: Callable[[int], Layout]
    target: Callable[[int], Layout]
    weights_shape: Sequence[int]
    weights_order: Sequence[int] | None = None
    rounded_order: Sequence[int] | None = None
    result_shape: Sequence[int]

    def __init__(self, dtype: int, needs: Needs, *, bias: int | None, gradient_types: tuple[int, int]) -> None:
        self.dtype = TYPES[dtype]
        self._data_pack: Primitive | None = None
        x, y = self.source(dtype), self.target(dtype)
        given = Layout.of(self.weights_shape, F32, self.weights_order)
        self.bias = None if bias is None else Layout.of([bias], F32)
        forward = self.describe_forward(x, Layout.any(self.weights_shape, dtype), self.bias, y, training=needs.any)
        packed = forward.layout("weights")
        self._rounded, self._round = given, None
        if dtype != F32 and self.rounded_order is not None:
            self._rounded = Layout.of(self.weights_shape, dtype, self.rounded_order)
            self._round = reorder(given, self._rounded)
        self._pack = reorder(self._rounded, packed)
        self._packed = packed
        arguments = {} if self.bias is None else {"bias": self.bias}
        self._forward = Primitive(forward, src=x, weights=packed, **arguments, dst=y)
        if needs.inputs:
            self._prepare_backward_data(forward, dtype, gradient_types[0])
        if needs.weights:
            self._prepare_backward_weights(forward, dtype, gradient_types[1], given)

    @abstractmethod
    def describe_forward(
        self, x: Layout, weights: Layout, bias: Layout | None, y: Layout, *, training: bool
    ) -> Description:
        """Return the description of y = W x + b."""

    @abstractmethod
    def describe_backward_data(self, dx: Layout, weights: Layout, dy: Layout, hint: Description) -> Description:
        """Return the description of the gradient of x."""

    @abstractmethod
    def describe_backward_weights(
        self, x: Layout, dweights: Layout, dbias: Layout | None, dy: Layout, hint: Description
    ) -> Description:
        """Return the description of the gradients of weights and bias."""

    def _hint(self, forward: Description, dtype: int, wanted: int) -> Description:
        if wanted == dtype:
            return forward
        weights = Layout.any(self.weights_shape, wanted)
        return self.describe_forward(self.source(wanted), weights, None, self.target(wanted), training=True)

    def _prepare_backward_data(self, forward: Description, dtype: int, wanted: int) -> None:
        self._data_dtype = TYPES[wanted]
        dx, dy = self.source(wanted), self.target(wanted)
        weights = Layout.any(self.weights_shape, wanted)
        data = self.describe_backward_data(dx, weights, dy, self._hint(forward, dtype, wanted))
        self._data_packed = data.layout("weights")
        # The same order as in the forward pass saves a copy.
        same = self._data_packed == self._packed
        self._data_pack = None if same else reorder(self._rounded, self._data_packed)
        self._data = Primitive(data, diff_src=dx, weights=self._data_packed, diff_dst=dy)

    def _prepare_backward_weights(self, forward: Description, dtype: int, wanted: int, given: Layout) -> None:
        self._weights_dtype = TYPES[wanted]
        x, dy = self.source(wanted), self.target(wanted)
        chosen = Layout.any(self.weights_shape, F32)
        hint = self._hint(forward, dtype, wanted)
        weights = self.describe_backward_weights(x, chosen, self.bias, dy, hint)
        self._unpacked = weights.layout("diff_weights")
        self._unpack = None if self._unpacked == given else reorder(self._unpacked, given)
        arguments = {} if self.bias is None else {"diff_bias": self.bias}
        self._weights = Primitive(weights, src=x, diff_weights=self._unpacked, **arguments, diff_dst=dy)

    def forward(self, x: Tensor, weights: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return y and the weights in the form that `backward_data` needs."""
        rounded = weights
        if self._round is not None:
            rounded = scratch(self._rounded)
            self._round(weights.data_ptr(), rounded.data_ptr())
        packed = scratch(self._packed)
        self._pack(rounded.data_ptr(), packed.data_ptr())
        y = empty_on_cpu(self.result_shape, self.dtype)
        offset = () if bias is None else (bias.data_ptr(),)
        self._forward(x.data_ptr(), packed.data_ptr(), *offset, y.data_ptr())
        return y, packed if self._data_pack is None else rounded

    def backward_data(self, dy: Tensor, kept: Tensor, shape: Sequence[int]) -> Tensor:
        """Return the gradient of x, which has `shape` in memory; `kept` is what `forward` returned."""
        packed = kept
        if self._data_pack is not None:
            packed = scratch(self._data_packed)
            self._data_pack(kept.data_ptr(), packed.data_ptr())
        dy = convert(dy, self._data_dtype)
        dx = empty_on_cpu(shape, self._data_dtype)
        self._data(dx.data_ptr(), packed.data_ptr(), dy.data_ptr())
        return convert(dx, self.dtype)

    def backward_weights(self, x: Tensor, dy: Tensor, weights: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the gradients of weights and bias."""
        x, dy = convert(x, self._weights_dtype), convert(dy, self._weights_dtype)
        result = empty_on_cpu(weights.shape, paddle.float32)
        target = result if self._unpack is None else scratch(self._unpacked)
        dbias = None if self.bias is None else empty_on_cpu([dy.shape[-1]], paddle.float32)
        offset = () if dbias is None else (dbias.data_ptr(),)
        self._weights(x.data_ptr(), target.data_ptr(), *offset, dy.data_ptr())
        if self._unpack is not None:
            self._unpack(target.data_ptr(), result.data_ptr())
        return result, dbias


def run(operation: Weighted, x: Tensor, weights: Tensor, bias: Tensor | None) -> Tensor:
    """Return y in memory order, with gradients of x, weights and bias if they are needed."""
    if not needs_gradient(x, weights, bias):
        return operation.forward(x, weights, bias)[0]
    y: Tensor = _Weighted.apply(operation, x, weights, bias)
    return y


class _Weighted(PyLayer):
    @staticmethod
    def forward(ctx: Any, operation: Weighted, x: Tensor, weights: Tensor, bias: Tensor | None) -> Tensor:
        y, ctx.kept = operation.forward(x, weights, bias)
        ctx.operation = operation
        ctx.has_bias = bias is not None
        ctx.save_for_backward(x, weights, *(() if bias is None else (bias,)))
        return y

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> Any:
        operation: Weighted = ctx.operation
        x, weights, *rest = ctx.saved_tensor()
        bias = rest[0] if rest else None
        dy = gradient(dy, operation.dtype)
        dx = dweights = dbias = None
        if not x.stop_gradient:
            dx = operation.backward_data(dy, ctx.kept, x.shape)
        if not weights.stop_gradient or (bias is not None and not bias.stop_gradient):
            dweights, dbias = operation.backward_weights(x, dy, weights)
            dweights = None if weights.stop_gradient else dweights
            dbias = None if bias is None or bias.stop_gradient else dbias
        return (dx, dweights, dbias) if ctx.has_bias else (dx, dweights)
