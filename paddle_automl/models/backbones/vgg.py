"""Plain stacks of convolutions (Simonyan and Zisserman 2015) of any width, depth and kernel."""

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
from paddle_automl.models.layers import LayerFactory


@BACKBONES.register("vgg")
class VGG(Backbone):
    """Stages of plain convolutions, halved in between by pooling or by a stride.

    Simonyan and Zisserman, Very Deep Convolutional Networks for Large-Scale Image Recognition (2015), with
    normalization, and with global pooling in place of the fully connected layers.
    """

    class Config(StagedConfig):
        """Options of the stack."""

        convs: Sequence[Annotated[int, Field(ge=1)]] = Field((1, 2, 2), min_length=1)
        """Convolutions of each stage."""
        kernel: Literal[3, 5, 7] = 3
        """Kernel of the convolutions."""
        reduction: Literal["max_pool", "avg_pool", "stride"] = "max_pool"
        """How a stage with a stride of 2 halves its input: by pooling first, or in its first convolution."""

    space: ClassVar[dict[str, Any]] = {
        "width": {"choice": [8, 16, 32]},
        "convs": {"repeat": {"int": [1, 3]}, "times": {"int": [1, 4]}},
        "kernel": {"choice": [3, 5]},
        "reduction": {"choice": ["max_pool", "stride"]},
        "stem_stride": {"choice": ["auto", 1, 2]},
    }

    def __init__(self, config: Config, *, in_channels: int, layers: LayerFactory, image_size: Size) -> None:
        nn.Layer.__init__(self)
        self.stem = Stem(config, in_channels=in_channels, layers=layers, image_size=image_size)
        strides = stage_strides(config, len(config.convs), self.stem.size)
        check_final_size(layers, final_size(self.stem.size, strides))
        self.stages = nn.LayerList()
        channels = config.width
        for width, depth, stride in zip(config.channels(len(config.convs)), config.convs, strides, strict=True):
            stage = nn.Sequential()
            if stride == 2 and config.reduction == "max_pool":
                stage.add_sublayer("pool", layers.max_pool(2, ceil_mode=True))
            elif stride == 2 and config.reduction == "avg_pool":
                stage.add_sublayer("pool", layers.avg_pool(2, ceil_mode=True))
            for index in range(depth):
                step = stride if index == 0 and config.reduction == "stride" else 1
                conv = layers.conv_norm_act(channels, width, config.kernel, stride=step)
                stage.add_sublayer(str(index), conv)
                channels = width
            self.stages.append(stage)
        self.out_channels = channels

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        x = self.stem(x)
        for stage in self.stages:
            x = stage(x)
        return x
