"""Densely connected networks (Huang et al. 2017) of any depth and growth rate."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from paddle import Tensor, nn
from pydantic import Field

from paddle_automl.core.schema import Sequence
from paddle_automl.models.backbones.base import BACKBONES, ImageBackbone, Size
from paddle_automl.models.kernels import layers as fast
from paddle_automl.models.layers import LayerFactory
from paddle_automl.models.staged import (
    StagedConfig,
    Stem,
    add_drop_block,
    check_final_size,
    final_size,
    stage_strides,
)

BOTTLENECK = 4
"""Channels between the two convolutions of a layer divided by the growth rate."""


@BACKBONES.register("densenet")
class DenseNet(ImageBackbone):
    """DenseNet: every layer sees the maps of all layers before it in its block, and adds a few of its own.

    Huang et al., Densely Connected Convolutional Networks (2017). Normalization and activation come before each
    convolution; between blocks a 1 x 1 convolution reduces the channels and a pooling the map (DenseNet-BC).

    State-dict names: ``stem.*``, ``blocks.<block>.<layer>.*``, ``transitions.<block>.*``, ``last.*``.
    """

    class Config(StagedConfig):
        """Options of the network."""

        growth: int = Field(12, ge=1)
        """Channels that each layer adds: the growth rate k of the paper. `width`: channels of the first
        convolution, 2 k in the paper."""
        layers: Sequence[Annotated[int, Field(ge=1)]] = Field((2, 2, 2), min_length=1)
        """Layers of each block."""
        bottleneck: bool = True
        """A 1 x 1 convolution to 4 k channels before the 3 x 3 convolution of each layer (DenseNet-B)."""
        compression: float = Field(0.5, gt=0, le=1)
        """Fraction of the channels that is left between two blocks (theta of the paper, DenseNet-C)."""
        dropout: float = Field(0.0, ge=0, lt=1)
        """Fraction of the values after each convolution of a layer that is set to zero while training."""

    space: ClassVar[dict[str, Any]] = {
        "width": {"choice": [8, 16, 32]},
        "growth": {"choice": [8, 12, 24]},
        "layers": {"repeat": {"int": [1, 6]}, "times": {"int": [1, 3]}},
        "bottleneck": {"choice": [False, True]},
        "compression": {"choice": [0.5, 1.0]},
        "stem_stride": {"choice": ["auto", 1, 2]},
    }
    small: ClassVar[dict[str, Any]] = {"width": 8, "growth": 4, "layers": [2, 1]}

    def __init__(self, config: Config, *, in_channels: int, layers: LayerFactory, image_size: Size) -> None:
        nn.Layer.__init__(self)
        count = len(config.layers)
        self.stem = Stem(config, in_channels=in_channels, layers=layers, image_size=image_size, end="convolution")
        strides = stage_strides(config, count, self.stem.size)
        check_final_size(layers, final_size(self.stem.size, strides))
        self.transitions, self.blocks = nn.LayerList(), nn.LayerList()
        channels = config.width
        for number, (depth, stride) in enumerate(zip(config.layers, strides, strict=True)):
            left = max(int(channels * config.compression), 1) if number else channels
            self.transitions.append(_transition(layers, channels, left, stride=stride, first=number == 0))
            made = (_DenseLayer(config, layers, left + index * config.growth) for index in range(depth))
            block = nn.Sequential(*made)
            add_drop_block(config, block, number, count)
            self.blocks.append(block)
            channels = left + depth * config.growth
        self.last = layers.norm_act(channels)
        self.out_channels = channels

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, in_channels, H, W] to [N, out_channels, h, w]."""
        x = self.stem(x)
        for index, block in enumerate(self.blocks):
            x = block(self.transitions[index](x))
        return self.last(x)


class _DenseLayer(nn.Layer):
    """One or two convolutions, whose maps are joined to the input."""

    def __init__(self, config: DenseNet.Config, layers: LayerFactory, in_channels: int) -> None:
        super().__init__()
        inner = BOTTLENECK * config.growth if config.bottleneck else in_channels
        steps = []
        if config.bottleneck:
            steps += [
                layers.norm_act(in_channels),
                layers.conv(in_channels, inner, 1, normalized=True),
                layers.dropout(config.dropout),
            ]
        steps += [layers.norm_act(inner), layers.conv(inner, config.growth, 3), layers.dropout(config.dropout)]
        self.new = nn.Sequential(*steps)

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, C, H, W] to [N, C + growth, H, W]."""
        x, one = fast.fork(x)
        return fast.concat([x, self.new(one)])


def _transition(layers: LayerFactory, channels: int, left: int, *, stride: int, first: bool) -> nn.Layer:
    """Return the layers before a block: 1 x 1 convolution and mean over 2 x 2 pixels; before the first only
    that."""
    steps = [] if first else [layers.norm_act(channels), layers.conv(channels, left, 1)]
    if stride == 2:
        steps.append(layers.avg_pool(2, ceil_mode=True))
    return nn.Sequential(*steps)
