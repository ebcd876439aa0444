"""Attention blocks: layers that weight the channels or the pixels of feature maps by what the maps contain."""

from __future__ import annotations

import math
from typing import Literal

import paddle
from paddle import Tensor, nn

from paddle_automl.models.kernels import layers as fast
from paddle_automl.models.kernels import plain
from paddle_automl.models.layers import LayerFactory

Attention = Literal["none", "se", "eca", "cbam"]
"""Names of the attention blocks, for an option of a backbone."""
LEAST = 4
"""Fewest channels of a hidden layer."""


def attention_block(
    kind: Attention, layers: LayerFactory, channels: int, *, reduction: int = 16, hard: bool = False
) -> nn.Layer | None:
    """Return the block for maps [N, channels, H, W], which keeps their shape, or None for ``none``.

    `reduction` divides the channels in the hidden layer of ``se`` and ``cbam``; with `hard` the sigmoid of ``se``
    is piecewise linear.
    """
    if kind == "se":
        return SqueezeExcitation(layers, channels, reduction, hard=hard)
    if kind == "eca":
        return EfficientChannelAttention(layers, channels)
    if kind == "cbam":
        return ConvolutionalBlockAttention(layers, channels, reduction)
    return None


class SqueezeExcitation(nn.Layer):
    """Multiplies each channel by a number from 0 to 1, computed from the means of all channels.

    Hu et al., Squeeze-and-Excitation Networks (2018), eq. 2 to 4; with `hard` the sigmoid is the piecewise linear
    one of MobileNetV3 (Howard et al. 2019). The hidden layer has `hidden` channels, or a fraction of them.
    """

    def __init__(
        self,
        layers: LayerFactory,
        channels: int,
        reduction: int = 4,
        *,
        hard: bool = False,
        hidden: int | None = None,
    ) -> None:
        super().__init__()
        hidden = max(channels // reduction, LEAST) if hidden is None else hidden
        self.pool = layers.global_pool()
        self.squeeze = layers.conv(channels, hidden, 1, bias=True)
        self.activation = layers.activation()
        self.excite = layers.conv(hidden, channels, 1, bias=True)
        self.sigmoid = fast.Hardsigmoid() if hard else fast.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, C, H, W] to the same shape."""
        x, one = fast.fork(x)
        return _scaled(x, self.sigmoid(self.excite(self.activation(self.squeeze(self.pool(one))))))


class EfficientChannelAttention(nn.Layer):
    """Multiplies each channel by a number from 0 to 1, computed from the means of a few neighbouring channels.

    Wang et al., ECA-Net: Efficient Channel Attention for Deep Convolutional Neural Networks (2020), eq. 7 and 12:
    the number of neighbours is the odd number nearest to log2(C) / 2 + 1 / 2. PaddleSlim cannot follow its
    transposes, so networks with it cannot be pruned by filters.
    """

    def __init__(self, layers: LayerFactory, channels: int) -> None:
        super().__init__()
        neighbours = int(math.log2(channels) / 2 + 0.5) | 1
        self.pool = layers.global_pool()
        self.conv = layers.conv(1, 1, (neighbours, 1), bias=False)
        self.sigmoid = fast.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, C, H, W] to the same shape."""
        x, one = fast.fork(x)
        means = plain(self.pool(one)).transpose([0, 2, 1, 3])
        return _scaled(x, plain(self.sigmoid(self.conv(means))).transpose([0, 2, 1, 3]))


class ConvolutionalBlockAttention(nn.Layer):
    """Multiplies each channel, then each pixel, by a number from 0 to 1.

    Woo et al., CBAM: Convolutional Block Attention Module (2018), eq. 1 to 3: channels are weighted by what one
    hidden layer makes of their means and of their maxima, pixels by a convolution over the mean and the maximum of
    all channels.
    """

    def __init__(self, layers: LayerFactory, channels: int, reduction: int) -> None:
        super().__init__()
        hidden = max(channels // reduction, LEAST)
        self.mean, self.maximum = layers.global_pool(), layers.global_max_pool()
        self.squeeze = layers.conv(channels, hidden, 1, bias=True)
        self.activation = layers.activation()
        self.excite = layers.conv(hidden, channels, 1, bias=True)
        self.pixels = layers.conv(2, 1, 7, bias=False)
        self.channel_sigmoid, self.pixel_sigmoid = fast.Sigmoid(), fast.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, C, H, W] to the same shape."""
        x, one, other = fast.fork(x, 3)
        total = fast.add(self._hidden(self.mean(one)), self._hidden(self.maximum(other)))
        x = _scaled(x, self.channel_sigmoid(total))
        summary = paddle.concat([x.mean(axis=1, keepdim=True), x.max(axis=1, keepdim=True)], axis=1)
        return _scaled(x, self.pixel_sigmoid(self.pixels(summary)))

    def _hidden(self, x: Tensor) -> Tensor:
        return self.excite(self.activation(self.squeeze(x)))


def _scaled(x: Tensor, factors: Tensor) -> Tensor:
    """Return maps [N, C, H, W] times factors [N, C, 1, 1] or [N, 1, H, W]."""
    return plain(x) * plain(factors)
