"""A deep pyramid of convolutions over the tokens of a text."""

from __future__ import annotations

from typing import Any, ClassVar

from paddle import Tensor, nn
from paddle.nn import functional as F
from pydantic import Field

from paddle_automl.core.schema import PluginConfig
from paddle_automl.inputs.base import Input
from paddle_automl.models.backbones.base import BACKBONES
from paddle_automl.models.kernels import plain
from paddle_automl.models.layers import LayerFactory
from paddle_automl.models.text.base import TextBackbone, texts_of
from paddle_automl.models.text.masking import mask_of


@BACKBONES.register("dpcnn")
class DPCNN(TextBackbone):
    """Blocks of two convolutions, each of which halves the length of the text.

    Johnson and Zhang, Deep Pyramid Convolutional Neural Networks for Text Categorization (2017), section 2: a
    region of three tokens, activation before each convolution, and sums over each block; here without biases, and
    with a maximum over windows of two places, not of three that overlap, to halve a text. What is behind the end of
    a text is set to zero after each convolution, so that padding leaves no trace. `model.norm` has no effect.
    """

    class Config(PluginConfig):
        """Options of the backbone."""

        width: int = Field(128, ge=1)
        """Numbers of a token's vector."""
        filters: int = Field(128, ge=1)
        """Filters of each convolution."""
        blocks: int = Field(3, ge=1, le=8)
        """Blocks, and how often the length is halved."""
        token_dropout: float = Field(0.0, ge=0, lt=1)
        """Fraction of the tokens that are read as unknown in a step of the training."""
        dropout: float = Field(0.5, ge=0, lt=1)
        """Fraction of the features set to zero while training."""

    searched: ClassVar[bool] = False
    space: ClassVar[dict[str, Any]] = {"filters": {"choice": [64, 128, 256]}, "blocks": {"int": [2, 5]}}
    small: ClassVar[dict[str, Any]] = {"width": 6, "filters": 5, "blocks": 2, "dropout": 0.0}

    def __init__(self, config: Config, tokens: list[str], layers: LayerFactory) -> None:
        super().__init__()
        filters = config.filters
        self.embedding = layers.embedding(tokens, config.width, dropout=config.token_dropout)
        self.region = layers.conv1d(self.embedding.width, filters, 3, padding=1)
        self.blocks = nn.LayerList([_Pair(filters, layers) for _ in range(config.blocks + 1)])
        self.pool = layers.global_max_pool1d()
        self.drop = layers.dropout(config.dropout)
        self.out_features = filters
        self._blocks = config.blocks

    @classmethod
    def build(cls, config: Any, *, input: Input, layers: LayerFactory) -> DPCNN:  # noqa: D102
        return cls(config, list(texts_of(input).texts("tokens")), layers)

    def forward(self, *inputs: Tensor) -> Tensor:
        """Map tokens [N, L] to features [N, filters]."""
        # So many zeros that each halving has a whole window of padding behind the text.
        tokens = F.pad(inputs[0], [0, 0, 0, 2 ** (self._blocks + 1)])
        mask = mask_of(tokens).unsqueeze(1)
        x = plain(self.region(self.embedding(tokens).transpose([0, 2, 1]))) * mask
        x = self.blocks[0](x, mask)
        for block in list(self.blocks)[1:]:
            x, mask = F.max_pool1d(x, 2, 2), F.max_pool1d(mask, 2, 2)
            x = block(x, mask)
        return self.drop(plain(self.pool(x)).flatten(1))


class _Pair(nn.Layer):
    """Two convolutions with activation before each, and their input added."""

    def __init__(self, filters: int, layers: LayerFactory) -> None:
        super().__init__()
        self.first, self.second = (layers.conv1d(filters, filters, 3, padding=1) for _ in range(2))
        self.activation = layers.activation()

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Map [N, filters, L] to the same shape; `mask` [N, 1, L] is 0 behind the text."""
        y = plain(self.first(plain(self.activation(x)) * mask)) * mask
        return x + plain(self.second(plain(self.activation(y)) * mask)) * mask
