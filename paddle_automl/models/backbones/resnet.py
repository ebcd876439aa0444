"""Residual networks (He et al. 2016a, 2016b) of any width, depth, kernel size and block order."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from paddle import Tensor, nn
from pydantic import Field

from paddle_automl.core.schema import Sequence
from paddle_automl.models.backbones.base import BACKBONES, Size
from paddle_automl.models.kernels import layers as fast
from paddle_automl.models.layers import LayerFactory
from paddle_automl.models.staged import Place, Staged, StagedConfig

EXPANSION = 4
"""Output channels of a bottleneck block divided by the channels inside it."""


@BACKBONES.register("resnet")
class ResNet(Staged):
    """Residual network: blocks of two or three convolutions whose input is added to their output.

    He et al., Deep Residual Learning for Image Recognition (2016), and, for the order `pre`, Identity Mappings
    in Deep Residual Networks (2016).
    """

    class Config(StagedConfig):
        """Options of the residual network."""

        blocks: Sequence[Annotated[int, Field(ge=1)]] = Field((1, 1, 1), min_length=1)
        """Residual blocks of each stage."""
        kernel: Literal[3, 5, 7] = 3
        """Kernel of the convolutions inside the blocks."""
        order: Literal["post", "pre"] = "post"
        """Normalization and activation after each convolution (post) or before it (pre)."""
        bottleneck: bool = False
        """Blocks of three convolutions (1 x 1, kernel, 1 x 1), the last with four times the width, instead of
        two."""

    space: ClassVar[dict[str, Any]] = {
        "width": {"choice": [8, 16, 32]},
        "blocks": {"repeat": {"int": [1, 3]}, "times": {"int": [1, 3]}},
        "kernel": {"choice": [3, 5]},
        "order": {"choice": ["post", "pre"]},
        "bottleneck": {"choice": [False, True]},
        "stem_stride": {"choice": ["auto", 1, 2]},
    }

    def __init__(self, config: Config, *, in_channels: int, layers: LayerFactory, image_size: Size) -> None:
        super().__init__(config, in_channels=in_channels, layers=layers, image_size=image_size)
        if config.order == "pre":
            self.last = layers.norm_act(self.out_channels)

    @classmethod
    def _block(cls, config: Config, layers: LayerFactory, place: Place) -> nn.Layer:
        return _Block(config, layers, place.in_channels, place.width, place.stride)

    @classmethod
    def _channels(cls, config: Config, width: int) -> int:
        return width * EXPANSION if config.bottleneck else width

    @classmethod
    def _activated_stem(cls, config: Config) -> bool:
        return config.order == "post"


class _Block(nn.Layer):
    """Residual block in either order; the shortcut is a 1 x 1 convolution if the shapes differ."""

    def __init__(
        self, config: ResNet.Config, layers: LayerFactory, in_channels: int, width: int, stride: int
    ) -> None:
        super().__init__()
        kernel = config.kernel
        # (kernel, channels in, channels out, stride) of each convolution.
        out_channels = ResNet._channels(config, width)
        if config.bottleneck:
            plan = [(1, in_channels, width, 1), (kernel, width, width, stride), (1, width, out_channels, 1)]
        else:
            plan = [(kernel, in_channels, width, stride), (kernel, width, width, 1)]
        projected = stride != 1 or in_channels != out_channels
        self.pre = config.order == "pre"
        self.shortcut: nn.Layer | None = None
        if self.pre:
            self.first = layers.norm_act(in_channels)
            steps = [layers.conv(plan[0][1], plan[0][2], plan[0][0], stride=plan[0][3])]
            for size, inner, outer, step in plan[1:]:
                steps += [layers.norm_act(inner), layers.conv(inner, outer, size, stride=step)]
            if projected:
                self.shortcut = layers.conv(in_channels, out_channels, 1, stride=stride)
        else:
            steps = [
                layers.conv_norm_act(inner, outer, size, stride=step, activation=index < len(plan) - 1)
                for index, (size, inner, outer, step) in enumerate(plan)
            ]
            if projected:
                self.shortcut = layers.conv_norm_act(in_channels, out_channels, 1, stride=stride, activation=False)
            self.activation = layers.activation()
        self.residual = nn.Sequential(*steps)

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, C, H, W] to [N, out_channels, h, w]."""
        if self.pre:
            y = self.first(x)
            # If the shape changes, the shortcut starts from the activated input too (He et al. 2016b, 4.1).
            shortcut = x if self.shortcut is None else self.shortcut(y)
            return fast.add(shortcut, self.residual(y))
        x, one = fast.fork(x)
        shortcut = x if self.shortcut is None else self.shortcut(x)
        return fast.add_act(shortcut, self.residual(one), self.activation)
