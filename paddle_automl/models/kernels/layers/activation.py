"""Activations, and layers that drop values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from paddle import Tensor, nn

from paddle_automl.models.kernels import elementwise
from paddle_automl.models.kernels.elementwise import Function, activate
from paddle_automl.models.kernels.layers.fast import Fast, Ordinary, attempt


class Activation(Fast):
    """An activation; `function` None leaves it to Paddle."""

    function: Function | None = None

    def fast(self, x: Tensor) -> Tensor | None:  # noqa: D102
        function = self.function
        if function is None:
            return None
        return attempt("activation", x, lambda dtype: activate(x, function, dtype))


class ReLU(Activation, nn.ReLU):
    """``paddle.nn.ReLU``."""

    function = elementwise.RELU


class ReLU6(Activation, nn.ReLU6):
    """``paddle.nn.ReLU6``."""

    function = elementwise.RELU6


class LeakyReLU(Activation, nn.LeakyReLU):
    """``paddle.nn.LeakyReLU``."""

    def remember(self, options: Mapping[str, Any]) -> None:  # noqa: D102
        if options["negative_slope"] >= 0:
            self.function = elementwise.leaky_relu(options["negative_slope"])


class ELU(Activation, nn.ELU):
    """``paddle.nn.ELU``."""

    def remember(self, options: Mapping[str, Any]) -> None:  # noqa: D102
        self.function = elementwise.elu(options["alpha"])


class GELU(Activation, nn.GELU):
    """``paddle.nn.GELU``."""

    def remember(self, options: Mapping[str, Any]) -> None:  # noqa: D102
        self.function = elementwise.GELU_TANH if options["approximate"] else elementwise.GELU


class Silu(Activation, nn.Silu):
    """``paddle.nn.Silu``."""

    function = elementwise.SILU


class Swish(Activation, nn.Swish):
    """``paddle.nn.Swish``."""

    function = elementwise.SILU


class Hardswish(Activation, nn.Hardswish):
    """``paddle.nn.Hardswish``."""

    function = elementwise.HARDSWISH


class Hardsigmoid(Activation, nn.Hardsigmoid):
    """``paddle.nn.Hardsigmoid``."""

    function = elementwise.HARDSIGMOID


class Mish(Activation, nn.Mish):
    """``paddle.nn.Mish``."""

    function = elementwise.MISH


class Tanh(Activation, nn.Tanh):
    """``paddle.nn.Tanh``."""

    function = elementwise.TANH


class Sigmoid(Activation, nn.Sigmoid):
    """``paddle.nn.Sigmoid``."""

    function = elementwise.SIGMOID


class PReLU(Ordinary, nn.PReLU):
    """``paddle.nn.PReLU``."""


class Dropout(Ordinary, nn.Dropout):
    """``paddle.nn.Dropout``."""
