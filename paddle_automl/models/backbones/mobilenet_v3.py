"""MobileNetV3-like networks (Howard et al. 2019): inverted residuals with squeeze-and-excitation and hard swish."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from paddle import Tensor, nn
from pydantic import Field

from paddle_automl.models.attention import Attention, attention_block
from paddle_automl.models.backbones.base import BACKBONES, Size
from paddle_automl.models.backbones.mobilenet import InvertedConfig, InvertedResidual
from paddle_automl.models.layers import LayerFactory
from paddle_automl.models.staged import Place, Staged

REDUCTION = 4
"""Channels inside a block divided by those of the hidden layer of squeeze-and-excitation."""


@BACKBONES.register("mobilenet_v3")
class MobileNetV3(Staged):
    """MobileNetV3: inverted residual blocks with squeeze-and-excitation, and a last stage after the pooling.

    Howard et al., Searching for MobileNetV3 (2019). The gates are hard sigmoids, and a block's hidden layer has a
    quarter of its channels (section 5.3); the last wide layer works on the mean over all pixels (section 5.1).
    `model.activation` is hardswish unless it is set; the paper has ReLU in the first half of the network.
    """

    class Config(InvertedConfig):
        """Options of the network."""

        kernel: Literal[3, 5, 7] = 3
        """Kernel of the depth-wise convolutions in the first half of the stages."""
        late_kernel: Literal[3, 5, 7] = 5
        """Kernel of the depth-wise convolutions in the second half of the stages."""
        expansion: int = Field(4, ge=1, le=8)
        """Channels inside a block divided by its input channels, after the first stage."""
        features: int = Field(256, ge=1)
        """Features that the layer after the pooling computes."""
        attention: Attention = "se"
        """Attention block after each depth-wise convolution: weights for channels from all channels (se) or from
        neighbouring ones (eca), or for channels and pixels (cbam)."""

    space: ClassVar[dict[str, Any]] = {
        "width": {"choice": [8, 16, 24]},
        "blocks": {"repeat": {"int": [1, 3]}, "times": {"int": [2, 5]}},
        "kernel": {"choice": [3, 5]},
        "late_kernel": {"choice": [3, 5]},
        "expansion": {"choice": [3, 4, 6]},
        "attention": {"choice": ["none", "se"]},
        "stem_stride": {"choice": ["auto", 1, 2]},
    }
    small: ClassVar[dict[str, Any]] = {"width": 8, "blocks": [1, 2], "features": 16}
    section: ClassVar[dict[str, Any]] = {"activation": "hardswish"}

    def __init__(self, config: Config, *, in_channels: int, layers: LayerFactory, image_size: Size) -> None:
        super().__init__(config, in_channels=in_channels, layers=layers, image_size=image_size)
        channels = round(self.out_channels * config.last)
        self.last = layers.conv_norm_act(self.out_channels, channels, 1)
        self.pool = layers.global_pool()
        # After the pooling a normalization over pixels would leave nothing, so there is none, as in the paper.
        self.wide = layers.linear(channels, config.features)
        self.activation = layers.activation()
        self.out_channels = config.features

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, in_channels, H, W] to features [N, out_channels]."""
        return self.activation(self.wide(self.pool(super().forward(x)).flatten(1)))

    @classmethod
    def _block(cls, config: Config, layers: LayerFactory, place: Place) -> nn.Layer:
        # As in MobileNetV2: no sum with the activated input of the first block, see there.
        same = place.stride == 1 and place.in_channels == place.width
        expansion = config.expansion if place.stage else 1
        early = place.stage < len(config.blocks) / 2
        return InvertedResidual(
            layers,
            place.in_channels,
            place.width,
            config.kernel if early else config.late_kernel,
            place.stride,
            expansion,
            adds=same and (place.stage, place.index) != (0, 0),
            attention=attention_block(
                config.attention, layers, place.in_channels * expansion, reduction=REDUCTION, hard=True
            ),
            skipped=config.stochastic_depth * place.depth,
        )
