"""PP-LCNet-like networks (Cui et al. 2021): plain depth-wise separable convolutions for CPUs."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from paddle import Tensor, nn
from pydantic import Field

from paddle_automl.core.schema import Sequence
from paddle_automl.models.attention import Attention, attention_block
from paddle_automl.models.backbones.base import BACKBONES, Size
from paddle_automl.models.layers import LayerFactory
from paddle_automl.models.staged import Place, Staged, StagedConfig

REDUCTION = 4
"""Channels of a block divided by those of the hidden layer of squeeze-and-excitation."""


@BACKBONES.register("pp_lcnet")
class PPLCNet(Staged):
    """PP-LCNet: depth-wise and 1 x 1 convolutions without shortcuts, made to be fast on CPUs.

    Cui et al., PP-LCNet: A Lightweight CPU Convolutional Neural Network (2021), arXiv:2109.15099, section 3: larger
    kernels and squeeze-and-excitation only where maps are small, in the last stage, and a wide layer after the
    pooling. `model.activation` is hardswish unless it is set.
    """

    class Config(StagedConfig):
        """Options of the network."""

        blocks: Sequence[Annotated[int, Field(ge=1)]] = Field((1, 1, 2), min_length=1)
        """Depth-wise separable convolutions of each stage."""
        kernel: Literal[3, 5, 7] = 3
        """Kernel of the depth-wise convolutions before the last stage."""
        late_kernel: Literal[3, 5, 7] = 5
        """Kernel of the depth-wise convolutions in the last stage."""
        features: int = Field(256, ge=1)
        """Features that the layer after the pooling computes; the paper has 1,280."""
        dropout: float = Field(0.0, ge=0, lt=1)
        """Fraction of these features set to zero while training; the paper has 0.2."""
        attention: Attention = "se"
        """Attention block in the last stage: weights for channels from all channels (se) or from neighbouring ones
        (eca), or for channels and pixels (cbam)."""

    space: ClassVar[dict[str, Any]] = {
        "width": {"choice": [8, 16, 32]},
        "blocks": {"repeat": {"int": [1, 3]}, "times": {"int": [2, 5]}},
        "kernel": {"choice": [3, 5]},
        "late_kernel": {"choice": [3, 5]},
        "features": {"choice": [128, 256, 512]},
        "attention": {"choice": ["none", "se"]},
        "stem_stride": {"choice": ["auto", 1, 2]},
    }
    small: ClassVar[dict[str, Any]] = {"width": 8, "blocks": [1, 1], "features": 16}
    section: ClassVar[dict[str, Any]] = {"activation": "hardswish"}

    def __init__(self, config: Config, *, in_channels: int, layers: LayerFactory, image_size: Size) -> None:
        super().__init__(config, in_channels=in_channels, layers=layers, image_size=image_size)
        self.pool = layers.global_pool()
        self.wide = layers.linear(self.out_channels, config.features)
        self.activation = layers.activation()
        self.dropout = layers.dropout(config.dropout)
        self.out_channels = config.features

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, in_channels, H, W] to features [N, out_channels]."""
        return self.dropout(self.activation(self.wide(self.pool(super().forward(x)).flatten(1))))

    @classmethod
    def _block(cls, config: Config, layers: LayerFactory, place: Place) -> nn.Layer:
        late = place.stage == len(config.blocks) - 1
        kernel = config.late_kernel if late else config.kernel
        channels = place.in_channels
        block = nn.Sequential()
        block.add_sublayer(
            "depthwise", layers.conv_norm_act(channels, channels, kernel, stride=place.stride, groups=channels)
        )
        attention = (
            attention_block(config.attention, layers, channels, reduction=REDUCTION, hard=True) if late else None
        )
        if attention is not None:
            block.add_sublayer("attention", attention)
        block.add_sublayer("pointwise", layers.conv_norm_act(channels, place.width, 1))
        return block
