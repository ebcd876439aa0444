"""A head that compares directions only."""

from __future__ import annotations

from typing import Any, ClassVar

import paddle
from paddle import Tensor, nn
from pydantic import Field

from paddle_automl.core.schema import PluginConfig
from paddle_automl.models.backbones.base import Backbone
from paddle_automl.models.feature_norms import directions
from paddle_automl.models.heads.base import HEADS, Head
from paddle_automl.models.layers import LayerFactory


@HEADS.register("cosine")
class Cosine(Head):
    """The cosine between features and a vector per output, times a learned scale, and a bias per output.

    Gidaris and Komodakis, Dynamic Few-Shot Visual Learning without Forgetting (2018), eq. 5: it often suits few
    items per class. Apart from the bias, by which a class can be made rarer, outputs are bounded by the scale, so
    it is for classes and labels, less for numbers.
    """

    class Config(PluginConfig):
        """Options of the head."""

        scale: float = Field(10.0, gt=0)
        """Scale at the start; it is learned."""

    space: ClassVar[dict[str, Any]] = {"scale": {"log": [3.0, 30.0]}}

    config: Config

    def make(self, backbone: Backbone, layers: LayerFactory, outputs: int) -> nn.Layer:  # noqa: D102
        return _Cosine(layers.linear(backbone.out_features, outputs), self.config.scale)


class _Cosine(nn.Layer):
    """scale * <x, w_k> / (||x|| ||w_k||) + b_k: [N, F] -> [N, K]."""

    def __init__(self, linear: nn.Layer, scale: float) -> None:
        super().__init__()
        # Weight [F, K] and bias [K] of a linear layer, with the initial values of `model.initializer`.
        self.weight, self.bias = linear.weight, linear.bias
        self.scale = self.create_parameter([1], default_initializer=nn.initializer.Constant(scale))

    def forward(self, x: Tensor) -> Tensor:
        return paddle.matmul(directions(x, axis=1), directions(self.weight, axis=0)) * self.scale + self.bias
