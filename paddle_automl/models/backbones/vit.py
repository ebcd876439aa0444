"""Small vision transformers (Dosovitskiy et al. 2021)."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import paddle
from paddle import Tensor, nn
from paddle.nn import functional as F
from pydantic import Field

from paddle_automl.core.errors import ConfigError
from paddle_automl.core.schema import PluginConfig
from paddle_automl.models.backbones.base import BACKBONES, KEY, ImageBackbone, Size
from paddle_automl.models.kernels import plain
from paddle_automl.models.layers import LayerFactory

DEVIATION = 0.02
"""Standard deviation of positions and class token at the start."""


@BACKBONES.register("vit")
class VisionTransformer(ImageBackbone):
    """Vision transformer: patches of the image as tokens, which attend to each other.

    Dosovitskiy et al., An Image is Worth 16x16 Words (2021), arXiv:2010.11929, eq. 1 to 4: layer normalization
    before attention and before the two linear layers of a block, learned positions, and as features the class token
    or the mean of all tokens. Keys, queries and values have no biases. Images that patches do not divide are filled
    with zeros at their borders. `model.norm` has no effect; `model.activation` is gelu unless it is set.
    """

    class Config(PluginConfig):
        """Options of the transformer."""

        width: int = Field(64, ge=4)
        """Numbers of a token; must be a multiple of heads."""
        depth: int = Field(4, ge=1, le=48)
        """Blocks of attention and two linear layers."""
        heads: int = Field(4, ge=1)
        """Heads of each attention."""
        expansion: float = Field(2.0, gt=0, le=8)
        """Width of the hidden layer of a block divided by `width`."""
        patch: Literal["auto"] | Annotated[int, Field(ge=1)] = "auto"
        """Side of a patch in pixels. auto: an eighth of the image's short side, from 2 to 16."""
        features: Literal["mean", "class_token"] = "mean"
        """What the head sees: the mean of all tokens, or a token of its own that learns to ask for what it
        needs."""
        dropout: float = Field(0.0, ge=0, lt=1)
        """Fraction of the values set to zero after each attention and in each hidden layer, while training."""
        stochastic_depth: float = Field(0.0, ge=0, lt=1)
        """Probability that an item skips the last block while training; it grows linearly from block to block."""

    space: ClassVar[dict[str, Any]] = {
        "width": {"choice": [32, 64, 128]},
        "depth": {"int": [2, 6]},
        "heads": {"choice": [2, 4, 8]},
        "features": {"choice": ["mean", "class_token"]},
        "stochastic_depth": {"choice": [0.0, 0.1, 0.2]},
    }
    small: ClassVar[dict[str, Any]] = {"width": 8, "depth": 2, "heads": 2}
    section: ClassVar[dict[str, Any]] = {"activation": "gelu"}

    def __init__(self, config: Config, *, in_channels: int, layers: LayerFactory, image_size: Size) -> None:
        nn.Layer.__init__(self)
        side = _side(config, image_size)
        rows, columns = (-(-pixels // side) for pixels in image_size)
        start = nn.initializer.Normal(0.0, DEVIATION)
        self.embed = layers.conv(in_channels, config.width, side, stride=side, bias=True, same=True)
        self.positions = self.create_parameter([rows * columns, config.width], default_initializer=start)
        self.token = (
            self.create_parameter([1, config.width], default_initializer=start)
            if config.features == "class_token"
            else None
        )
        self.dropout = layers.dropout(config.dropout)
        self.blocks = nn.LayerList(
            [
                _Block(config, layers, skipped=config.stochastic_depth * (index + 1) / config.depth)
                for index in range(config.depth)
            ]
        )
        self.norm = nn.LayerNorm(config.width)
        self.out_channels = config.width

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, in_channels, H, W] to features [N, width]."""
        x = plain(self.embed(x)).flatten(2).transpose([0, 2, 1])
        x = self.dropout(x + self.positions)
        if self.token is not None:
            # The sum makes the token as long as the batch, whose size is open in an exported network.
            first = x[:, :1] * 0.0 + self.token
            x = paddle.concat([first, x], axis=1)
        for block in self.blocks:
            x = block(x)
        x = self.norm(x)
        return x.mean(axis=1) if self.token is None else x[:, 0]


class _Block(nn.Layer):
    """Attention, then two linear layers; each sees its input normalized and adds its result to it."""

    def __init__(self, config: VisionTransformer.Config, layers: LayerFactory, *, skipped: float) -> None:
        super().__init__()
        hidden = max(round(config.width * config.expansion), 1)
        self.attention_norm, self.linear_norm = nn.LayerNorm(config.width), nn.LayerNorm(config.width)
        self.attention = _SelfAttention(layers, config.width, config.heads)
        self.linear = nn.Sequential(
            ("first", layers.linear(config.width, hidden)),
            ("activation", layers.activation()),
            ("dropout", layers.dropout(config.dropout)),
            ("second", layers.linear(hidden, config.width)),
        )
        self.dropout = layers.dropout(config.dropout)
        self.skip_attention = layers.stochastic_depth(skipped)
        self.skip_linear = layers.stochastic_depth(skipped)

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens [N, T, width] to the same shape."""
        x = x + self.skip_attention(self.dropout(self.attention(self.attention_norm(x))))
        return x + self.skip_linear(self.dropout(self.linear(self.linear_norm(x))))


class _SelfAttention(nn.Layer):
    """softmax(Q K' / sqrt(width / heads)) V for each head (Vaswani et al. 2017, eq. 1), then a linear layer."""

    def __init__(self, layers: LayerFactory, width: int, heads: int) -> None:
        super().__init__()
        self.heads, self.width = heads, width
        # The bias of keys would have no effect: it changes all scores of a query alike.
        self.query_key_value = layers.linear(width, 3 * width, bias=False)
        self.out = layers.linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens [N, T, width] to the same shape."""
        tokens, size = x.shape[1], self.width // self.heads
        joined = self.query_key_value(x).reshape([-1, tokens, 3, self.heads, size]).transpose([2, 0, 3, 1, 4])
        query, key, value = joined[0], joined[1], joined[2]
        scores = paddle.matmul(query * size**-0.5, key, transpose_y=True)
        mixed = paddle.matmul(F.softmax(scores, axis=-1), value)
        return self.out(mixed.transpose([0, 2, 1, 3]).reshape([-1, tokens, self.width]))


def _side(config: VisionTransformer.Config, size: Size) -> int:
    """Return the side of a patch; raises ConfigError for options that do not fit each other or the image."""
    if config.width % config.heads:
        raise ConfigError(
            f"{KEY}.heads: the width must be a multiple of the heads, got width {config.width} and heads "
            f"{config.heads}"
        )
    short = min(size)
    side = max(min(max(round(short / 8), 2), 16, short), 1) if config.patch == "auto" else config.patch
    if side > short:
        raise ConfigError(
            f"{KEY}.patch: patches of {side} x {side} pixels are larger than the images of {size[0]} x {size[1]}; "
            "use auto, a smaller patch or a larger data.input.size"
        )
    return side
