"""A head with a hidden layer."""

from __future__ import annotations

from typing import Any, ClassVar

from paddle import nn
from pydantic import Field

from paddle_automl.core.schema import PluginConfig
from paddle_automl.models.backbones.base import Backbone
from paddle_automl.models.heads.base import HEADS, Head
from paddle_automl.models.layers import LayerFactory


@HEADS.register("mlp")
class Mlp(Head):
    """A hidden layer with the activation of the network, dropout, and a linear layer."""

    class Config(PluginConfig):
        """Options of the head."""

        hidden: int = Field(256, ge=1)
        """Units of the hidden layer."""
        dropout: float = Field(0.2, ge=0, lt=1)
        """Fraction of the hidden units set to zero while training."""

    space: ClassVar[dict[str, Any]] = {
        "hidden": {"choice": [64, 128, 256, 512]},
        "dropout": {"float": [0.0, 0.5], "step": 0.1},
    }

    config: Config

    def make(self, backbone: Backbone, layers: LayerFactory, outputs: int) -> nn.Layer:  # noqa: D102
        hidden = self.config.hidden
        return nn.Sequential(
            ("hidden", layers.linear(backbone.out_features, hidden)),
            ("activation", layers.activation()),
            ("dropout", layers.dropout(self.config.dropout)),
            ("linear", layers.linear(hidden, outputs)),
        )
