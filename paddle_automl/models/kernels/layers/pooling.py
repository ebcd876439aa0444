"""Poolings over windows and over whole feature maps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from paddle import Tensor, nn
from paddle.nn import functional as F

from paddle_automl.models.kernels.layers.fast import Fast, attempt, numbers, padding_pairs
from paddle_automl.models.kernels.pooling import Kind, Window, global_pool, pool


class _Pool(Fast):
    """Pooling over windows."""

    axes: int = 2
    kind: Kind = "max"
    window: Window | None = None
    """None: options that are left to Paddle."""

    def remember(self, options: Mapping[str, Any]) -> None:
        if not options.get("exclusive", True):
            self.kind = "mean_with_zeros"
        pairs = padding_pairs(options["padding"], self.axes)
        usual = options.get("data_format", "NCHW") == "NCHW" and options.get("divisor_override") is None
        if pairs is None or any(low != high for low, high in pairs) or options.get("return_mask") or not usual:
            return
        kernel = numbers(options["kernel_size"], self.axes)
        stride = kernel if options["stride"] is None else numbers(options["stride"], self.axes)
        self.window = Window(kernel, stride, tuple(low for low, _ in pairs), bool(options["ceil_mode"]))

    def fast(self, x: Tensor) -> Tensor | None:
        window = self.window
        if window is None or x.ndim != self.axes + 2:
            return None
        return attempt("pooling", x, lambda dtype: pool(x, window, self.kind, dtype))


class MaxPool2D(_Pool, nn.MaxPool2D):
    """``paddle.nn.MaxPool2D``."""


class AvgPool2D(_Pool, nn.AvgPool2D):
    """``paddle.nn.AvgPool2D``."""

    kind = "mean"


class MaxPool1D(_Pool, nn.MaxPool1D):
    """``paddle.nn.MaxPool1D``."""

    axes = 1


class AvgPool1D(_Pool, nn.AvgPool1D):
    """``paddle.nn.AvgPool1D``."""

    axes = 1
    kind = "mean"


class _GlobalPool(Fast):
    """Pooling to one pixel; the result is an ordinary float32 tensor. Other sizes are left to Paddle."""

    axes: int = 2
    kind: Kind = "max"
    whole = False

    def remember(self, options: Mapping[str, Any]) -> None:
        usual = options.get("data_format", "NCHW") == "NCHW" and not options.get("return_mask")
        size = options["output_size"]
        self.whole = usual and (size == 1 or (isinstance(size, list | tuple) and set(size) == {1}))

    def fast(self, x: Tensor) -> Tensor | None:
        if not self.whole or x.ndim != self.axes + 2:
            return None
        return attempt("pooling", x, lambda dtype: global_pool(x, self.kind, dtype))


class AdaptiveAvgPool2D(_GlobalPool, nn.AdaptiveAvgPool2D):
    """``paddle.nn.AdaptiveAvgPool2D``."""

    kind = "mean"


class AdaptiveMaxPool2D(_GlobalPool, nn.AdaptiveMaxPool2D):
    """``paddle.nn.AdaptiveMaxPool2D``; to one pixel it is exported as a pooling over the whole map, which inference
    and PaddleSlim know."""

    def slow(self, x: Tensor) -> Tensor:  # noqa: D102
        return F.max_pool2d(x, x.shape[2:]) if self.whole else self.base.forward(self, x)


class AdaptiveAvgPool1D(_GlobalPool, nn.AdaptiveAvgPool1D):
    """``paddle.nn.AdaptiveAvgPool1D``."""

    axes = 1
    kind = "mean"


class AdaptiveMaxPool1D(_GlobalPool, nn.AdaptiveMaxPool1D):
    """``paddle.nn.AdaptiveMaxPool1D``."""

    axes = 1
