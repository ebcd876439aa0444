"""Batch normalization, alone and with the activation after it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import paddle
from paddle import Tensor, nn
from paddle.nn import functional as F

from paddle_automl.core.errors import UnsupportedError
from paddle_automl.models.kernels.elementwise import GELU_TANH
from paddle_automl.models.kernels.layers.activation import GELU
from paddle_automl.models.kernels.layers.fast import Fast, Ordinary, attempt
from paddle_automl.models.kernels.mode import active
from paddle_automl.models.kernels.normalization import Statistics, batch_norm, batch_norm_gelu


class BatchNorm(Fast):
    """Batch normalization of either rank."""

    options: tuple[float, float] | None = None
    """Momentum and epsilon; None: another option has a value that is left to Paddle."""

    def remember(self, options: Mapping[str, Any]) -> None:  # noqa: D102
        affine = options["weight_attr"] is not False and options["bias_attr"] is not False
        usual = options["data_format"] in ("NCL", "NCHW") and options["use_global_stats"] is None
        if affine and usual:
            self.options = options["momentum"], options["epsilon"]

    def fast(self, x: Tensor) -> Tensor | None:  # noqa: D102
        return self.normalize(x)

    def slow(self, x: Tensor) -> Tensor:  # noqa: D102
        if not self.training or self.weight is None or not self.weight.stop_gradient:
            return self.base.forward(self, x)
        # With a fixed scale Paddle computes no gradient of the offset either: let it compute both, of a copy.
        scale = self.weight.detach()
        scale.stop_gradient = False
        return F.batch_norm(
            x,
            self._mean,
            self._variance,
            scale,
            self.bias,
            training=True,
            momentum=self._momentum,
            epsilon=self._epsilon,
            data_format=self._data_format,
            use_global_stats=self._use_global_stats,
        )

    def normalize(self, x: Tensor, *, relu: bool = False) -> Tensor | None:
        """Return the normalized `x`, or its ReLU; None if the fast path does not apply."""
        return attempt("batch_norm", x, lambda dtype: self._compute(x, dtype, relu))

    def normalize_gelu(self, x: Tensor) -> Tensor | None:
        """Return the (tanh form of) GELU of the normalized `x`; None if that is not one pass."""
        if not self.training or self.options is None or self._use_global_stats is not None:
            return None
        return attempt("batch_norm", x, lambda dtype: batch_norm_gelu(x, self._given(), compute=dtype))

    def _given(self) -> Statistics:
        assert self.options is not None
        return Statistics(self.weight, self.bias, self._mean, self._variance, *self.options)

    def _compute(self, x: Tensor, dtype: paddle.dtype, relu: bool) -> Tensor:
        # Quantization-aware training sets the last one temporarily.
        if self.options is None or self._use_global_stats is not None:
            raise UnsupportedError("only the default options have a fast path")
        return batch_norm(x, self._given(), training=self.training, relu=relu, compute=dtype)


class BatchNorm2D(BatchNorm, nn.BatchNorm2D):
    """``paddle.nn.BatchNorm2D``."""


class BatchNorm1D(BatchNorm, nn.BatchNorm1D):
    """``paddle.nn.BatchNorm1D``; only [N, C, L] has a fast path."""


def set_momentum(norm: nn.Layer, momentum: float) -> None:
    """Set the fraction of running mean and variance that a batch normalization keeps in a step."""
    norm._momentum = momentum
    if isinstance(norm, BatchNorm) and norm.options is not None:
        norm.options = momentum, norm.options[1]


class GroupNorm(Ordinary, nn.GroupNorm):
    """``paddle.nn.GroupNorm``."""


class InstanceNorm2D(Ordinary, nn.InstanceNorm2D):
    """``paddle.nn.InstanceNorm2D``."""


def norm_act(norm: nn.Layer, activation: nn.Layer | None, x: Tensor) -> Tensor:
    """Return ``activation(norm(x))``; batch normalization with ReLU or GELU is one pass over the memory."""
    if (
        active() is not None
        and isinstance(norm, BatchNorm)
        and activation is not None
        and not (watched(norm) or watched(activation))
    ):
        y = None
        if isinstance(activation, nn.ReLU):
            y = norm.normalize(x, relu=True)
        elif isinstance(activation, GELU) and activation.function == GELU_TANH:
            y = norm.normalize_gelu(x)
        if y is not None:
            return y
    y = norm(x)
    return y if activation is None else activation(y)


def watched(layer: nn.Layer) -> bool:
    """Return whether the layer has hooks, which need its own call."""
    return bool(layer._forward_post_hooks or layer._forward_pre_hooks)
