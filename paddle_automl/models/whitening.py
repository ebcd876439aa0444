"""A first convolution that makes the pixels of small windows uncorrelated, from statistics of training images."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import ClassVar

import numpy as np
import paddle
from paddle import Tensor, nn
from paddle.nn import functional as F

from paddle_automl.core.errors import ConfigError
from paddle_automl.models.kernels import plain
from paddle_automl.models.kernels.convolution import Geometry, convolution
from paddle_automl.models.kernels.elementwise import Function, bias_activation, compiled
from paddle_automl.models.kernels.layers.activation import Activation
from paddle_automl.models.kernels.layers.fast import attempt
from paddle_automl.models.kernels.layers.normalization import watched

COMPONENTS = 16
"""Most principal components of a window that are used."""
WINDOWS = 1024
"""Most windows of an image that are looked at, spread evenly: an image of 32 pixels has 961 of 2 x 2."""
EPSILON = 5e-4
"""Added to the eigenvalues, so that directions without any variance are not blown up."""


class Whitening(nn.Layer):
    """Convolution without padding whose fixed kernels are the scaled principal components of image patches.

    Jordan 2024, arXiv:2404.00498, section 3.2: v_i / sqrt(lambda_i + 5e-4) and its negative, for the eigenvectors
    v_i of the covariance of windows [C, kernel, kernel] of normalized training images; here at most 16, those of
    largest eigenvalue. Only the bias is trained. `measure` sets the kernels; before that they are random.

    It is no `nn.Conv2D` on purpose: pruning would break its pairs of opposite maps, and its kernels span too wide
    a range for 8 bits, so compression leaves it as it is.
    """

    float_only: ClassVar[bool] = True
    """For exporters that make 8-bit weights."""

    def __init__(self, in_channels: int, kernel: int, *, stride: int = 1) -> None:
        super().__init__()
        inputs = in_channels * kernel * kernel
        self._components = min(inputs, COMPONENTS)
        self.out_channels = 2 * self._components
        self.kernel, self.stride = kernel, stride
        start = paddle.randn([self.out_channels, in_channels, kernel, kernel]) / math.sqrt(inputs)
        self.register_buffer("weight", start)
        self.bias = self.create_parameter([self.out_channels], is_bias=True)
        self._geometry = Geometry((stride, stride), ((0, 0), (0, 0)), (1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, C, H, W] to [N, out_channels, (H - kernel) // stride + 1, (W - kernel) // stride + 1]."""
        y = attempt("convolution", x, lambda dtype: convolution(x, self.weight, self.bias, self._geometry, dtype))
        return F.conv2d(plain(x), self.weight, self.bias, stride=self.stride) if y is None else y

    def activated(self, x: Tensor, activation: nn.Layer) -> Tensor:
        """Return ``activation(self(x))``; where it can, without computing the gradient of all but the bias."""
        if isinstance(activation, Activation) and activation.function and x.stop_gradient:
            function = activation.function
            if not (watched(self) or watched(activation)):
                y = attempt("convolution", x, lambda dtype: self._activated(x, function, dtype))
                if y is not None:
                    return y
        result: Tensor = activation(self(x))
        return result

    def _activated(self, x: Tensor, function: Function, dtype: paddle.dtype) -> Tensor | None:
        if self.bias.stop_gradient or not compiled(function, dtype):
            return None
        with paddle.no_grad():
            y = convolution(x, self.weight, self.bias, self._geometry, dtype)
        return bias_activation(y, self.bias, function, dtype)

    def measure(self, batches: Iterable[Tensor]) -> None:
        """Set the kernels from normalized training images, given in batches [B, C, H, W].

        Raises ConfigError if there is none.
        """
        windows = 0
        total: np.ndarray = np.zeros(())
        for images in batches:
            found = self._windows(images.numpy())
            windows += len(found)
            total = total + found.T @ found
        if not windows:
            raise ConfigError(
                "model.backbone: its first convolution is computed from training images, but there are none; "
                "give data.split a training fraction"
            )
        values, vectors = np.linalg.eigh(total / windows)
        # In ascending order, so the last ones are the largest.
        scaled = (vectors / np.sqrt(np.maximum(values, 0) + EPSILON)).T[::-1][: self._components]
        # The sign of an eigenvector is arbitrary: fix it, so that it is the same with any linear algebra library.
        large = np.abs(scaled) > 0.5 * np.abs(scaled).max(axis=1, keepdims=True)
        scaled = scaled * np.sign(np.take_along_axis(scaled, large.argmax(axis=1)[:, None], axis=1))
        kernels = np.concatenate([scaled, -scaled]).astype(np.float32)
        self.weight.set_value(kernels.reshape(self.weight.shape))

    def _windows(self, images: np.ndarray) -> np.ndarray:
        """Return windows of images [B, C, H, W] as rows, float64 [n, C kernel kernel]: of large images not all."""
        size = (self.kernel, self.kernel)
        view = np.lib.stride_tricks.sliding_window_view(images, size, axis=(2, 3))  # type: ignore[call-overload]
        view = view[:, :, :: self.stride, :: self.stride]
        apart = math.ceil(math.sqrt(view.shape[2] * view.shape[3] / WINDOWS))
        view = view[:, :, ::apart, ::apart].transpose(0, 2, 3, 1, 4, 5)
        return view.astype(np.float64).reshape(-1, images.shape[1] * self.kernel * self.kernel)
