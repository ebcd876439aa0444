"""A backbone of one's own: ConvMixer (Trockman and Kolter 2022), small.

`layers` makes every layer, so that `model.activation`, `model.norm` and `model.initializer` apply to this network.
"""

from paddle import nn
from pydantic import Field

from paddle_automl.core.schema import PluginConfig
from paddle_automl.models.backbones.base import BACKBONES, ImageBackbone


class Block(nn.Layer):
    """Mixes the pixels of each channel, and then the channels of each pixel."""

    def __init__(self, layers, width):
        super().__init__()
        self.pixels = layers.conv_norm_act(width, width, 3, groups=width)
        self.channels = layers.conv_norm_act(width, width, 1)

    def forward(self, x):
        """Map [N, C, H, W] to the same shape."""
        return self.channels(x + self.pixels(x))


@BACKBONES.register("conv_mixer")
class ConvMixer(ImageBackbone):
    """A convolution that halves the image, then blocks that mix pixels and channels in turn."""

    class Config(PluginConfig):
        """Options of the backbone; `tools/describe.py` shows the line below each."""

        width: int = Field(32, ge=1)
        """Channels."""
        depth: int = Field(2, ge=1)
        """Blocks."""

    space = {"width": {"choice": [16, 32, 48]}, "depth": {"int": [1, 3]}}
    small = {"width": 4, "depth": 1}

    def __init__(self, config, *, in_channels, layers, image_size):
        nn.Layer.__init__(self)
        self.out_channels = config.width
        blocks = [Block(layers, config.width) for _ in range(config.depth)]
        self.body = nn.Sequential(layers.conv_norm_act(in_channels, config.width, 3, stride=2), *blocks)

    def forward(self, x):
        """Map images [N, C, H, W] to maps [N, width, H/2, W/2]; the network takes their mean over all pixels."""
        return self.body(x)
