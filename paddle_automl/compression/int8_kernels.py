"""Simulated 8-bit layers that are fast inside `kernels.use`, as the layers of the float network are."""

from __future__ import annotations

from typing import TypeVar

import paddle
from paddle import Tensor, nn

from paddle_automl.core.errors import UnsupportedError
from paddle_automl.models.kernels.convolution import Geometry, convolution
from paddle_automl.models.kernels.layers.fast import attempt, numbers, padding_pairs
from paddle_automl.models.kernels.memory import known
from paddle_automl.models.kernels.mode import active
from paddle_automl.models.kernels.rounding import round_to
from paddle_automl.paddle_compat.slim.quantization import QuantedConv2D, options_of, steps_of

AXES = 2
M = TypeVar("M", bound=nn.Layer)


class Int8Conv2D(QuantedConv2D):  # type: ignore[misc, unused-ignore]
    """A converted convolution; outside of `kernels.use`, and where it is traced, Paddle's own."""

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, C, H, W] to [N, C', h, w]."""
        y = None if active() is None else attempt("convolution", x, lambda dtype: self._compute(x, dtype))
        return super().forward(x) if y is None else y

    def _compute(self, x: Tensor, dtype: paddle.dtype) -> Tensor:
        options = options_of(self)
        same = isinstance(options.padding, str) and options.padding.upper() == "SAME"
        pairs = ((0, 0),) * AXES if same else padding_pairs(options.padding, AXES)
        if not options.usual or pairs is None:
            raise UnsupportedError("this padding or order of axes has no fast path")
        geometry = Geometry(numbers(options.stride, AXES), pairs, numbers(options.dilation, AXES))
        if same:
            geometry = geometry.same(x.shape[2:], self.weight.shape[2:])
        weight = self.weight_quanter(self.weight)
        return convolution(rounded(self.activation_quanter, x), weight, self.bias, geometry, dtype)


def with_fast_layers(converted: M) -> M:
    """Return the converted network with its convolutions in their fast form, in place."""
    for layer in converted.sublayers():
        if type(layer) is QuantedConv2D:
            layer.__class__ = Int8Conv2D
    return converted


def seen(x: Tensor) -> Tensor:
    """Return a feature map as it is in memory, [N, H, W, C] after a fast layer, where the order does not matter."""
    memory = known(x) if active() is not None else None
    return x if memory is None else memory


def rounded(layer: nn.Layer, x: Tensor) -> Tensor:
    """Return the result of a layer that rounds all values of `x` alike, or leaves them as they are."""
    steps = None if active() is None else steps_of(layer)
    y = None if steps is None else attempt("activation", x, lambda dtype: round_to(x, *steps, dtype))
    return layer(x) if y is None else y
