"""Convolutions and linear layers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import paddle
from paddle import Tensor, nn
from paddle.nn import functional as F

from paddle_automl.core.errors import UnsupportedError
from paddle_automl.models.kernels.convolution import Geometry, convolution
from paddle_automl.models.kernels.layers.fast import Fast, attempt, numbers, padding_pairs
from paddle_automl.models.kernels.linear import linear
from paddle_automl.models.kernels.mode import takes

SMALL_PRODUCT = 1 << 16
"""Multiply-accumulates up to which Paddle's matrix product is faster: its call has less overhead."""


class _Convolution(Fast):
    """Convolution of either rank."""

    axes: ClassVar[int]
    geometry: Geometry | None = None
    """None: padding or order of axes has a form that is left to Paddle."""
    same: bool
    """Whether the padding is TensorFlow's SAME, which depends on the size of the map."""

    def remember(self, options: Mapping[str, Any]) -> None:
        self.options = {key: options[key] for key in ("stride", "padding", "dilation")}
        padding = options["padding"]
        self.same = isinstance(padding, str) and padding.upper() == "SAME"
        pairs = ((0, 0),) * self.axes if self.same else padding_pairs(padding, self.axes)
        if pairs is None or options["padding_mode"] != "zeros" or options["data_format"] not in ("NCL", "NCHW"):
            return
        self.geometry = Geometry(
            numbers(options["stride"], self.axes), pairs, numbers(options["dilation"], self.axes)
        )

    def fast(self, x: Tensor) -> Tensor | None:
        return attempt("convolution", x, lambda dtype: self._compute(x, dtype))

    def _compute(self, x: Tensor, dtype: paddle.dtype) -> Tensor:
        if self.geometry is None:
            raise UnsupportedError("this padding or order of axes has no fast path")
        # Groups follow from the shapes, which pruning may change.
        if x.ndim != self.axes + 2 or x.shape[1] % self.weight.shape[1]:
            raise UnsupportedError("the input does not have the shape of a feature map")
        geometry = self.geometry
        if self.same:
            geometry = geometry.same(x.shape[2:], self.weight.shape[2:])
        return convolution(x, self.weight, self.bias, geometry, dtype)


class Conv2D(_Convolution, nn.Conv2D):
    """``paddle.nn.Conv2D``.

    If the fast path does not apply, training adds the bias over [N, C, H W]: 6 ms instead of Paddle's 43, with the
    same result.
    """

    axes = 2

    def slow(self, x: Tensor) -> Tensor:  # noqa: D102
        if self.bias is None or self.geometry is None or not self.training or not paddle.in_dynamic_mode():
            return self.base.forward(self, x)
        groups = x.shape[1] // self.weight.shape[1]
        y = F.conv2d(x, self.weight, None, **self.options, groups=groups)
        return (y.flatten(2) + self.bias.reshape([-1, 1])).reshape(y.shape)


class Conv1D(_Convolution, nn.Conv1D):
    """``paddle.nn.Conv1D``."""

    axes = 1


class Linear(Fast, nn.Linear):
    """``paddle.nn.Linear``; computes in the type of its input, so in float32 after a global pooling."""

    def fast(self, x: Tensor) -> Tensor | None:  # noqa: D102
        if x.dtype == paddle.float32 and takes(x) and x.size * self.weight.shape[1] <= SMALL_PRODUCT:
            return None
        return attempt("linear", x, lambda _: linear(x, self.weight, self.bias))
