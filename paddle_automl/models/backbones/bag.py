"""The sum of the vectors of n-grams."""

from __future__ import annotations

from typing import Any, ClassVar

from paddle import Tensor
from pydantic import Field

from paddle_automl.core.schema import PluginConfig
from paddle_automl.inputs.base import Input
from paddle_automl.models.backbones.base import BACKBONES
from paddle_automl.models.layers import LayerFactory
from paddle_automl.models.text.base import NGRAMS, TextBackbone, texts_of
from paddle_automl.models.text.table import NGramTable

DEVIATION = 0.1


@BACKBONES.register("bag")
class Bag(TextBackbone):
    """The sum of a learned vector of each n-gram, by its weight: order is only what the n-grams know of it.

    Joulin et al., Bag of Tricks for Efficient Text Classification (2017), with tf-idf weights. It trains some
    20,000 titles a second on one core, and generalizes where `wide` knows each n-gram by itself.
    """

    class Config(PluginConfig):
        """Options of the backbone."""

        width: int = Field(64, ge=1)
        """Numbers of a vector: the features of a text."""
        ngram_dropout: float = Field(0.3, ge=0, lt=1)
        """Fraction of a text's n-grams that are left out in a step of the training."""
        dropout: float = Field(0.5, ge=0, lt=1)
        """Fraction of the features set to zero while training."""

    needs: ClassVar[tuple[str, ...]] = NGRAMS
    searched: ClassVar[bool] = False
    space: ClassVar[dict[str, Any]] = {
        "width": {"choice": [32, 64, 128]},
        "ngram_dropout": {"float": [0.0, 0.5], "step": 0.1},
    }
    small: ClassVar[dict[str, Any]] = {"width": 4, "ngram_dropout": 0.0, "dropout": 0.0}

    def __init__(self, config: Config, rows: int, layers: LayerFactory) -> None:
        super().__init__()
        self.table = NGramTable(rows, config.width, deviation=DEVIATION)
        self.drop_ngrams = layers.dropout(config.ngram_dropout)
        self.drop = layers.dropout(config.dropout)
        self.out_features = config.width

    @classmethod
    def build(cls, config: Any, *, input: Input, layers: LayerFactory) -> Bag:  # noqa: D102
        return cls(config, texts_of(input).rows("ngrams"), layers)

    def forward(self, *inputs: Tensor) -> Tensor:
        """Map n-grams [N, M] and their weights [N, M] to features [N, width]."""
        ngrams, weights = inputs
        return self.drop(self.table(ngrams, self.drop_ngrams(weights)))
