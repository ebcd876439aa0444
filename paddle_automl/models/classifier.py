"""Backbone, pooling, dropout and a linear head: images to logits."""

from __future__ import annotations

import logging

from paddle import Tensor, nn

from paddle_automl.models.backbones.base import BACKBONES, Backbone, Size
from paddle_automl.models.config import ModelConfig
from paddle_automl.models.layers import LayerFactory
from paddle_automl.models.pretrained import load_pretrained
from paddle_automl.paddle_compat.device import seed_everything

logger = logging.getLogger(__name__)


class Classifier(nn.Layer):
    """A network for single-label classification."""

    def __init__(self, backbone: Backbone, layers: LayerFactory, *, num_classes: int, dropout: float) -> None:
        super().__init__()
        self.backbone = backbone
        self.feature_dim = backbone.out_channels
        self.num_classes = num_classes
        self.loaded_names: frozenset[str] = frozenset()
        """Names of the parameters and buffers that came from a file of weights."""
        self.pool = layers.global_pool()
        self.dropout = layers.dropout(dropout)
        self.fc = layers.linear(self.feature_dim, num_classes)

    def features(self, x: Tensor) -> Tensor:
        """Map images [N, C, H, W] to the features before the head [N, feature_dim]."""
        return self.pool(self.backbone(x)).flatten(1)

    def head(self, features: Tensor) -> Tensor:
        """Map features [N, feature_dim] to logits [N, num_classes]."""
        return self.fc(self.dropout(features))

    def forward(self, x: Tensor) -> Tensor:
        """Map images [N, C, H, W] to logits [N, num_classes]."""
        return self.head(self.features(x))


def build_model(
    config: ModelConfig, *, in_channels: int, num_classes: int, image_size: Size, seed: int | None = None
) -> Classifier:
    """Return the network of `config`, with the weights of `config.pretrained` loaded if there are any.

    `image_size` (height, width) decides automatic strides. With `seed` the initial weights are the same in
    every call; without it they follow Paddle's generator as it stands. Raises ConfigError if the options
    cannot work for that size, or if nothing of the file of weights fits.
    """
    if seed is not None:
        seed_everything(seed, "weights")
    layers = LayerFactory(config.activation, config.norm, config.initializer)
    kind = BACKBONES[config.backbone.name]
    backbone = kind(config.backbone, in_channels=in_channels, layers=layers, image_size=image_size)
    model = Classifier(backbone, layers, num_classes=num_classes, dropout=config.dropout)
    if config.pretrained is not None:
        report = load_pretrained(model, config.pretrained)
        logger.log(logging.WARNING if report.skipped else logging.INFO, "model.pretrained: %s", report)
    return model
