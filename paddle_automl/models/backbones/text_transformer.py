"""A small Transformer over the tokens of a text."""

from __future__ import annotations

from typing import Any, ClassVar

import paddle
from paddle import Tensor, nn
from paddle.nn import functional as F
from pydantic import Field, model_validator

from paddle_automl.core.schema import PluginConfig
from paddle_automl.inputs.base import Input
from paddle_automl.models.backbones.base import BACKBONES
from paddle_automl.models.layers import LayerFactory
from paddle_automl.models.text.base import TextBackbone, texts_of
from paddle_automl.models.text.masking import NEVER, mask_of, mean_of

DEVIATION = 0.02
"""Standard deviation of positions at the start."""


@BACKBONES.register("text_transformer")
class TextTransformer(TextBackbone):
    """Tokens that attend to each other, and the mean of what they become.

    Vaswani et al., Attention Is All You Need (2017), with the normalization before attention and linear layers
    (Xiong et al. 2020). Padding is not attended to. From scratch it trains a tenth as many texts a second as
    `text_cnn`, so it is for small sets and long budgets. `model.norm` has no effect.
    """

    class Config(PluginConfig):
        """Options of the backbone."""

        width: int = Field(128, ge=2)
        """Numbers of a token; must be a multiple of heads."""
        depth: int = Field(2, ge=1, le=12)
        """Blocks of attention and two linear layers."""
        heads: int = Field(4, ge=1)
        """Heads of each attention."""
        expansion: float = Field(2.0, gt=0, le=8)
        """Width of the hidden layer of a block divided by `width`."""
        positions: int = Field(256, ge=1, le=4096)
        """Number of position embeddings; tokens beyond share the last one."""
        token_dropout: float = Field(0.0, ge=0, lt=1)
        """Fraction of the tokens that are read as unknown in a step of the training."""
        dropout: float = Field(0.2, ge=0, lt=1)
        """Fraction of the values set to zero after each attention, in each hidden layer, and of the features, while
        training."""

        @model_validator(mode="after")
        def _whole_heads(self) -> TextTransformer.Config:
            if self.width % self.heads:
                raise ValueError(f"heads: the width {self.width} must be a multiple of it, got {self.heads}")
            return self

    searched: ClassVar[bool] = False
    space: ClassVar[dict[str, Any]] = {"depth": {"int": [1, 3]}, "expansion": {"choice": [1.0, 2.0, 4.0]}}
    small: ClassVar[dict[str, Any]] = {"width": 8, "heads": 2, "depth": 1, "dropout": 0.0}

    def __init__(self, config: Config, tokens: list[str], layers: LayerFactory) -> None:
        super().__init__()
        self.embedding = layers.embedding(tokens, config.width, dropout=config.token_dropout)
        own = self.embedding.width
        self.project = layers.linear(own, config.width) if own != config.width else nn.Identity()
        normal = nn.initializer.Normal(0.0, DEVIATION)
        self.places = nn.Embedding(config.positions, config.width, weight_attr=paddle.ParamAttr(initializer=normal))
        self.blocks = nn.LayerList([_Block(config, layers) for _ in range(config.depth)])
        self.norm = nn.LayerNorm(config.width)
        self.drop = layers.dropout(config.dropout)
        self.out_features = config.width
        self._last = config.positions - 1

    @classmethod
    def build(cls, config: Any, *, input: Input, layers: LayerFactory) -> TextTransformer:  # noqa: D102
        return cls(config, list(texts_of(input).texts("tokens")), layers)

    def forward(self, *inputs: Tensor) -> Tensor:
        """Map tokens [N, L] to features [N, width]."""
        tokens = inputs[0]
        mask = mask_of(tokens)
        # The number of each place: a sum of ones, as the length is open in an exported network.
        numbers = paddle.clip(paddle.cumsum(paddle.ones_like(tokens[:1]), axis=1) - 1, max=self._last)
        x = self.project(self.embedding(tokens)) + self.places(numbers)
        hidden = (1.0 - mask).unsqueeze(1).unsqueeze(1) * NEVER
        for block in self.blocks:
            x = block(x, hidden)
        return self.drop(mean_of(self.norm(x), tokens))


class _Block(nn.Layer):
    """Attention, then two linear layers; each sees its input normalized and adds its result to it."""

    def __init__(self, config: TextTransformer.Config, layers: LayerFactory) -> None:
        super().__init__()
        width, inner = config.width, max(round(config.width * config.expansion), 1)
        self.heads, self.size = config.heads, width // config.heads
        self.attention_norm, self.linear_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query_key_value = layers.linear(width, 3 * width, bias=False)
        self.out = layers.linear(width, width)
        self.first, self.second = layers.linear(width, inner), layers.linear(inner, width)
        self.activation = layers.activation()
        self.drop = layers.dropout(config.dropout)

    def forward(self, x: Tensor, hidden: Tensor) -> Tensor:
        """Map tokens [N, L, width] to the same shape; `hidden` [N, 1, 1, L] is added to the scores."""
        x = x + self.drop(self._attended(self.attention_norm(x), hidden))
        return x + self.second(self.drop(self.activation(self.first(self.linear_norm(x)))))

    def _attended(self, x: Tensor, hidden: Tensor) -> Tensor:
        joined = self.query_key_value(x).reshape([0, 0, 3, self.heads, self.size]).transpose([2, 0, 3, 1, 4])
        query, key, value = joined[0], joined[1], joined[2]
        scores = paddle.matmul(query * self.size**-0.5, key, transpose_y=True) + hidden
        mixed = paddle.matmul(F.softmax(scores, axis=-1), value)
        return self.out(mixed.transpose([0, 2, 1, 3]).reshape([0, 0, self.heads * self.size]))
