"""Convolution in one and two dimensions: groups, stride, dilation, padding, bias."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from paddle import Tensor, dtype

from paddle_automl.core.errors import UnsupportedError
from paddle_automl.models.kernels import native
from paddle_automl.models.kernels.library import (
    ALGORITHMS,
    F32,
    FORWARD_INFERENCE,
    FORWARD_TRAINING,
    Dims,
    library,
    processor_flags,
)
from paddle_automl.models.kernels.memory import (
    NUMBERS,
    channels_last,
    channels_last_order,
    logical,
    needs_gradient,
)
from paddle_automl.models.kernels.primitives import CACHE, Description, Layout
from paddle_automl.models.kernels.weighted import TYPES, Needs, Weighted, run

LARGEST_COMPILED = 1 << 17
"""Most pairs of an input and an output channel for which the compiled gradient of the weights is used."""


class Geometry(NamedTuple):
    """Stride, dilation and padding of a kernel, one number per spatial axis."""

    stride: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    """Zeros added before and after each axis."""
    dilation: tuple[int, ...]

    def size(self, sizes: Sequence[int], kernel: Sequence[int]) -> list[int]:
        """Return the size of the result for a map of `sizes`."""
        return [
            (size + low + high - dilation * (width - 1) - 1) // stride + 1
            for size, (low, high), dilation, width, stride in zip(
                sizes, self.padding, self.dilation, kernel, self.stride, strict=True
            )
        ]

    def same(self, sizes: Sequence[int], kernel: Sequence[int]) -> Geometry:
        """Return the geometry with TensorFlow's SAME padding for a map of `sizes`.

        A side of n pixels gives ceil(n / stride); what is missing is padded, the odd zero after the map.
        """
        padding = []
        for size, width, stride, dilation in zip(sizes, kernel, self.stride, self.dilation, strict=True):
            missing = max((-(-size // stride) - 1) * stride + dilation * (width - 1) + 1 - size, 0)
            padding.append((missing // 2, missing - missing // 2))
        return self._replace(padding=tuple(padding))


class Convolution(Weighted):
    """Convolution of [N, C, ...] with weights [O, C / groups, ...] for one set of shapes."""

    def __init__(
        self,
        x_shape: tuple[int, ...],
        weights_shape: tuple[int, ...],
        geometry: Geometry,
        bias: bool,
        dtype: int,
        needs: Needs,
    ) -> None:
        batch, channels, *sizes = x_shape
        out, per_group, *kernel = weights_shape
        self.geometry = geometry
        self.groups = groups = channels // per_group
        result = geometry.size(sizes, kernel)
        order = channels_last_order(len(x_shape))
        self.source = lambda kind: Layout.of(x_shape, kind, order)
        self.target = lambda kind: Layout.of([batch, out, *result], kind, order)
        self.weights_shape = weights_shape if groups == 1 else (groups, out // groups, per_group, *kernel)
        if groups == 1:
            # Rounding and reordering 512 x 512 x 3 x 3 weights for both passes in one go takes 4.8 ms, so 2.0.
            self.rounded_order = channels_last_order(len(weights_shape))
        self.result_shape = [batch, *result, out]
        self._compiled = not bias and _has_compiled_gradient(dtype, geometry, kernel, channels, out, per_group)
        stride, padding = _without_needless_stride(geometry, sizes, kernel, result)
        low, high = zip(*padding, strict=True)
        # oneDNN counts a dilation of one as zero.
        dilation = [d - 1 for d in geometry.dilation]
        self._numbers = (Dims(*stride), Dims(*dilation), Dims(*low), Dims(*high))
        super().__init__(
            dtype,
            needs,
            bias=out if bias else None,
            gradient_types=_gradient_types(dtype, geometry, sizes, kernel, groups, channels),
        )

    def _prepare_backward_weights(self, forward: Description, dtype: int, wanted: int, given: Layout) -> None:
        if not self._compiled:
            super()._prepare_backward_weights(forward, dtype, wanted, given)

    def backward_weights(self, x: Tensor, dy: Tensor, weights: Tensor) -> tuple[Tensor, Tensor | None]:  # noqa: D102
        if self._compiled:
            return native.filter_gradient(x, dy), None
        return super().backward_weights(x, dy, weights)

    def describe_forward(  # noqa: D102
        self, x: Layout, weights: Layout, bias: Layout | None, y: Layout, *, training: bool
    ) -> Description:
        kind = FORWARD_TRAINING if training else FORWARD_INFERENCE
        direct = ALGORITHMS["convolution_direct"]
        return Description(
            "convolution_forward", library().engine, kind, direct, x, weights, bias, y, *self._numbers, None
        )

    def describe_backward_data(  # noqa: D102
        self, dx: Layout, weights: Layout, dy: Layout, hint: Description
    ) -> Description:
        direct = ALGORITHMS["convolution_direct"]
        return Description(
            "convolution_backward_data", library().engine, direct, dx, weights, dy, *self._numbers, hint, None
        )

    def describe_backward_weights(  # noqa: D102
        self, x: Layout, dweights: Layout, dbias: Layout | None, dy: Layout, hint: Description
    ) -> Description:
        direct = ALGORITHMS["convolution_direct"]
        return Description(
            "convolution_backward_weights",
            library().engine, direct, x, dweights, dbias, dy, *self._numbers, hint, None,
        )  # fmt: skip


def _has_compiled_gradient(
    dtype: int, geometry: Geometry, kernel: Sequence[int], channels: int, out: int, per_group: int
) -> bool:
    """Return whether the gradient of the weights is that of `native.filter_gradient`.

    With AMX oneDNN uses another algorithm, which is faster; so it is for 512 channels of 4 x 4 pixels.
    """
    fits = tuple(kernel) == (3, 3) and geometry == Geometry((1, 1), ((1, 1), (1, 1)), (1, 1))
    even = per_group == channels and channels % 16 == 0 and out % 16 == 0
    small = channels * out <= LARGEST_COMPILED
    if dtype == F32 or not (fits and even and small) or "amx_bf16" in processor_flags():
        return False
    return native.available(TYPES[dtype])


def _without_needless_stride(
    geometry: Geometry, sizes: Sequence[int], kernel: Sequence[int], result: Sequence[int]
) -> tuple[list[int], list[tuple[int, int]]]:
    """Return an equivalent stride and padding, with a stride of one along axes where the result has one pixel.

    oneDNN 3.6 computes wrong results from a map of one channel for a stride along the last axis if the result is
    one pixel wide.
    """
    stride, padding = list(geometry.stride), list(geometry.padding)
    for axis, count in enumerate(result):
        if count > 1 or stride[axis] == 1:
            continue
        low, _ = padding[axis]
        high = geometry.dilation[axis] * (kernel[axis] - 1) + 1 - sizes[axis] - low
        if high >= 0:
            stride[axis], padding[axis] = 1, (low, high)
        elif axis == len(result) - 1:
            raise UnsupportedError("oneDNN computes a wrong result for a stride if the result has only one window")
    return stride, padding


def _gradient_types(
    dtype: int, geometry: Geometry, sizes: Sequence[int], kernel: Sequence[int], groups: int, channels: int
) -> tuple[int, int]:
    """Return the types in which to compute the gradients of input and weights.

    For bfloat16, oneDNN 3.6 on Zen 4 is faster in float32, conversions included, for the input of a strided
    depthwise convolution (0.2 instead of 24 ms) and the weights of a 5 x 5 one (6 instead of 15 ms). For the
    weights, it reads uninitialized memory if there is dilation or the map is narrower than the stride.
    """
    if dtype == F32:
        return F32, F32
    slow = groups == channels > 1 and max(kernel) > 3
    wrong = max(geometry.dilation) > 1 or sizes[-1] < geometry.stride[-1]
    return F32 if groups > 1 and max(geometry.stride) > 1 else dtype, F32 if slow or wrong else dtype


def convolution(x: Tensor, weights: Tensor, bias: Tensor | None, geometry: Geometry, compute: dtype) -> Tensor:
    """Return the convolution of `x` [N, C, ...] computed in `compute`; raises UnsupportedError if oneDNN cannot."""
    needs = Needs(needs_gradient(x), needs_gradient(weights, bias))
    operation = CACHE.get(
        Convolution, tuple(x.shape), tuple(weights.shape), geometry, bias is not None, NUMBERS[compute], needs
    )
    return logical(run(operation, channels_last(x, compute), weights, bias))
