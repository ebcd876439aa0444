"""The linear head."""

from __future__ import annotations

from paddle import nn

from paddle_automl.models.backbones.base import Backbone
from paddle_automl.models.heads.base import HEADS, Head
from paddle_automl.models.layers import LayerFactory


@HEADS.register("linear")
class Linear(Head):
    """One linear layer: with frozen features and cross entropy this is multinomial logistic regression."""

    def make(self, backbone: Backbone, layers: LayerFactory, outputs: int) -> nn.Layer:  # noqa: D102
        return backbone.head(layers, outputs)
