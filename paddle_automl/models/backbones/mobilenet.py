"""MobileNetV2-like networks (Sandler et al. 2018): few weights and products, by depth-wise convolutions."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from paddle import Tensor, nn
from pydantic import Field

from paddle_automl.core.schema import Sequence
from paddle_automl.models.backbones.base import (
    BACKBONES,
    Backbone,
    Size,
    StagedConfig,
    Stem,
    check_final_size,
    final_size,
    stage_strides,
)
from paddle_automl.models.kernels import layers as fast
from paddle_automl.models.layers import LayerFactory


@BACKBONES.register("mobilenet")
class MobileNet(Backbone):
    """Stages of inverted residuals: widen by 1 x 1, filter each channel alone, narrow by 1 x 1, add the input.

    Sandler et al., MobileNetV2: Inverted Residuals and Linear Bottlenecks (2018). Narrow maps carry no
    activation; the paper's own is `model.activation: relu6`. The first stage does not widen.
    """

    class Config(StagedConfig):
        """Options of the network."""

        growth: float = Field(1.5, ge=1.0, le=4.0)
        """Factor of the channels from stage to stage."""
        blocks: Sequence[Annotated[int, Field(ge=1)]] = Field((1, 2, 2, 2), min_length=1)
        """Inverted residuals of each stage."""
        kernel: Literal[3, 5, 7] = 3
        """Kernel of the depth-wise convolutions."""
        expansion: int = Field(6, ge=1, le=8)
        """Channels inside a block over those that enter it, after the first stage."""
        last: float = Field(4.0, ge=1.0, le=8.0)
        """Channels of the last 1 x 1 convolution over those of the last stage."""

    space: ClassVar[dict[str, Any]] = {
        "width": {"choice": [8, 16, 24]},
        "blocks": {"repeat": {"int": [1, 3]}, "times": {"int": [2, 5]}},
        "kernel": {"choice": [3, 5]},
        "expansion": {"choice": [3, 4, 6]},
        "stem_stride": {"choice": ["auto", 1, 2]},
    }

    def __init__(self, config: Config, *, in_channels: int, layers: LayerFactory, image_size: Size) -> None:
        nn.Layer.__init__(self)
        self.stem = Stem(config, in_channels=in_channels, layers=layers, image_size=image_size)
        strides = stage_strides(config, len(config.blocks), self.stem.size)
        check_final_size(layers, final_size(self.stem.size, strides))
        self.stages = nn.LayerList()
        channels = config.width
        widths = config.channels(len(config.blocks))
        for number, (width, depth, stride) in enumerate(zip(widths, config.blocks, strides, strict=True)):
            stage = nn.Sequential()
            for index in range(depth):
                expansion = config.expansion if number else 1
                step = stride if index == 0 else 1
                # What enters the first block is activated: nothing is added to it, as in the paper. oneDNN's 8-bit
                # convolutions would also add that unsigned map to a signed one as if it were signed.
                adds = step == 1 and channels == width and (number, index) != (0, 0)
                block = InvertedResidual(layers, channels, width, config.kernel, step, expansion, adds)
                stage.add_sublayer(str(index), block)
                channels = width
            self.stages.append(stage)
        self.out_channels = round(channels * config.last)
        self.last = layers.conv_norm_act(channels, self.out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        x = self.stem(x)
        for stage in self.stages:
            x = stage(x)
        return self.last(x)


class InvertedResidual(nn.Layer):
    """Wide inside and narrow outside; with `adds` the input, which has the shape of the output, is added."""

    def __init__(
        self,
        layers: LayerFactory,
        in_channels: int,
        width: int,
        kernel: int,
        stride: int,
        expansion: int,
        adds: bool,
    ) -> None:
        super().__init__()
        inner = in_channels * expansion
        steps = [] if expansion == 1 else [layers.conv_norm_act(in_channels, inner, 1)]
        steps += [
            layers.conv_norm_act(inner, inner, kernel, stride=stride, groups=inner),
            layers.conv_norm_act(inner, width, 1, activation=False),
        ]
        self.residual = nn.Sequential(*steps)
        self.adds = adds

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, C, H, W] to [N, width, h, w]."""
        if not self.adds:
            return self.residual(x)
        x, one = fast.fork(x)
        return fast.add(x, self.residual(one))
