"""Recurrent layers over the tokens of a text, in both directions."""

from __future__ import annotations

from typing import Any, ClassVar

import paddle
from paddle import Tensor, nn
from pydantic import Field

from paddle_automl.core.schema import PluginConfig
from paddle_automl.inputs.base import Input
from paddle_automl.models.backbones.base import BACKBONES
from paddle_automl.models.layers import LayerFactory
from paddle_automl.models.text.base import TextBackbone, texts_of
from paddle_automl.models.text.masking import attended, lengths_of


@BACKBONES.register("bigru")
class BiGRU(TextBackbone):
    """Gated recurrent units in both directions, and a mean of their states by learned weights.

    Cho et al. 2014 (the unit), and Yang et al., Hierarchical Attention Networks (2016), eq. 5 to 7 (the weights).
    Padding is not read. It is no better than `text_cnn` on titles and reviews, and slower. It cannot be exported to
    ONNX: the converter loses the lengths of texts without a message. `model.activation` and `norm` have no effect.
    """

    class Config(PluginConfig):
        """Options of the backbone."""

        width: int = Field(128, ge=1)
        """Numbers of a token's vector."""
        units: int = Field(96, ge=1)
        """Units of each direction."""
        token_dropout: float = Field(0.0, ge=0, lt=1)
        """Fraction of the tokens that are read as unknown in a step of the training."""
        dropout: float = Field(0.5, ge=0, lt=1)
        """Fraction of the features set to zero while training."""

    searched: ClassVar[bool] = False
    space: ClassVar[dict[str, Any]] = {"units": {"choice": [64, 96, 128]}}
    small: ClassVar[dict[str, Any]] = {"width": 6, "units": 4, "dropout": 0.0}

    def __init__(self, config: Config, tokens: list[str], layers: LayerFactory) -> None:
        super().__init__()
        self.embedding = layers.embedding(tokens, config.width, dropout=config.token_dropout)
        self.gru = nn.GRU(self.embedding.width, config.units, direction="bidirect")
        self.out_features = 2 * config.units
        self.project = layers.linear(self.out_features, self.out_features)
        self.weigh = layers.linear(self.out_features, 1, bias=False)
        self.drop = layers.dropout(config.dropout)

    @classmethod
    def build(cls, config: Any, *, input: Input, layers: LayerFactory) -> BiGRU:  # noqa: D102
        return cls(config, list(texts_of(input).texts("tokens")), layers)

    def forward(self, *inputs: Tensor) -> Tensor:
        """Map tokens [N, L] to features [N, 2 * units]."""
        tokens = inputs[0]
        states, _ = self.gru(self.embedding(tokens), sequence_length=lengths_of(tokens))
        scores = self.weigh(paddle.tanh(self.project(states)))
        return self.drop(attended(states, scores, tokens))
