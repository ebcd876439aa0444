"""Convolutions over the tokens of a text."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import paddle
from paddle import Tensor, nn
from pydantic import Field

from paddle_automl.core.schema import PluginConfig, Sequence
from paddle_automl.inputs.base import Input
from paddle_automl.models.backbones.base import BACKBONES
from paddle_automl.models.kernels import layers as fast
from paddle_automl.models.kernels import plain
from paddle_automl.models.layers import LayerFactory
from paddle_automl.models.text.base import TextBackbone, texts_of

OWN, GIVEN = (2, 3, 4, 5), (1, 2, 3)
"""Windows for characters and words, and for the longer tokens of pretrained networks."""


@BACKBONES.register("text_cnn")
class TextCNN(TextBackbone):
    """Convolutions of several widths over the tokens, and the maximum of each filter over the text.

    Kim, Convolutional Neural Networks for Sentence Classification (2014), section 2. Convolutions have no bias and
    see at least one window of zeros on both sides, and bias and activation come after the maximum: so padding
    leaves no trace, and a text has the same answer alone and in a batch. `model.norm` has no effect.
    """

    class Config(PluginConfig):
        """Options of the backbone."""

        width: int = Field(128, ge=1)
        """Numbers of a token's vector."""
        filters: int = Field(128, ge=1)
        """Filters of each width."""
        windows: Sequence[Annotated[int, Field(ge=1, le=32)]] | None = None
        """Tokens that a filter sees; null: 1, 2 and 3 for tokens with given vectors, else 2, 3, 4 and 5."""
        token_dropout: float = Field(0.0, ge=0, lt=1)
        """Fraction of the tokens that are read as unknown in a step of the training."""
        dropout: float = Field(0.5, ge=0, lt=1)
        """Fraction of the features set to zero while training."""

    searched: ClassVar[bool] = False
    space: ClassVar[dict[str, Any]] = {"filters": {"choice": [64, 128, 256]}}
    small: ClassVar[dict[str, Any]] = {"width": 8, "filters": 4, "windows": [1, 2], "dropout": 0.0}

    def __init__(self, config: Config, tokens: list[str], layers: LayerFactory) -> None:
        super().__init__()
        self.embedding = layers.embedding(tokens, config.width, dropout=config.token_dropout)
        windows = config.windows or (GIVEN if layers.gives_vectors else OWN)
        width, filters = self.embedding.width, config.filters
        self.convs = nn.LayerList([layers.conv1d(width, filters, window, padding=window) for window in windows])
        self.pool = layers.global_max_pool1d()
        self.out_features = filters * len(windows)
        self.bias = _Bias(self.out_features)
        self.activation = layers.activation()
        self.drop = layers.dropout(config.dropout)

    @classmethod
    def build(cls, config: Any, *, input: Input, layers: LayerFactory) -> TextCNN:  # noqa: D102
        return cls(config, list(texts_of(input).texts("tokens")), layers)

    def forward(self, *inputs: Tensor) -> Tensor:
        """Map tokens [N, L] to features [N, filters * windows]."""
        x = self.embedding(inputs[0]).transpose([0, 2, 1])
        branches = fast.fork(x, len(self.convs))
        found = [plain(self.pool(conv(branches[place]))).flatten(1) for place, conv in enumerate(self.convs)]
        return self.drop(plain(self.activation(self.bias(paddle.concat(found, axis=1)))))


class _Bias(nn.Layer):
    """Adds a bias to features [N, F]."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.bias = self.create_parameter([features], is_bias=True)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.bias
