"""N-grams straight to the classes."""

from __future__ import annotations

from typing import Any, ClassVar

from paddle import Tensor, nn
from pydantic import Field

from paddle_automl.core.schema import PluginConfig
from paddle_automl.inputs.base import Input
from paddle_automl.models.backbones.base import BACKBONES
from paddle_automl.models.layers import LayerFactory
from paddle_automl.models.text.base import NGRAMS, TextBackbone, texts_of
from paddle_automl.models.text.table import NGramTable

RATE = 2.0
"""Factor of the learning rate of tables: weights of outputs are larger than those of features."""


@BACKBONES.register("wide")
class Wide(TextBackbone):
    """A weight of each n-gram for each output: a linear model that is trained in steps, as part of a sum or alone.

    The wide part of Cheng et al., Wide and Deep Learning for Recommender Systems (2016). It begins at zero, so that
    n-grams that training has not seen say nothing.
    """

    class Config(PluginConfig):
        """Options of the backbone."""

        ngram_dropout: float = Field(0.3, ge=0, lt=1)
        """Fraction of a text's n-grams that are left out in a step of the training."""

    needs: ClassVar[tuple[str, ...]] = NGRAMS
    gives_scores: ClassVar[bool] = True
    searched: ClassVar[bool] = False
    space: ClassVar[dict[str, Any]] = {"ngram_dropout": {"float": [0.0, 0.5], "step": 0.1}}
    small: ClassVar[dict[str, Any]] = {"ngram_dropout": 0.0}

    def __init__(self, config: Config, rows: int, layers: LayerFactory) -> None:
        super().__init__()
        self._rows = rows
        self.drop = layers.dropout(config.ngram_dropout)

    @classmethod
    def build(cls, config: Any, *, input: Input, layers: LayerFactory) -> Wide:  # noqa: D102
        return cls(config, texts_of(input).rows("ngrams"), layers)

    def expect(self, outputs: int) -> None:
        """Make the table [rows, outputs]."""
        self.out_features = outputs
        self.table = NGramTable(self._rows, outputs, deviation=0.0, bias=True, rate=RATE)

    def forward(self, *inputs: Tensor) -> Tensor:
        """Map n-grams [N, M] and their weights [N, M] to raw outputs [N, K]."""
        ngrams, weights = inputs
        return self.table(ngrams, self.drop(weights))

    def head(self, layers: LayerFactory, outputs: int) -> nn.Layer:
        """Return nothing more."""
        return nn.Identity()
