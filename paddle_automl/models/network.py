"""Backbone, pooling, dropout and a linear head: from the arrays of an input to the raw outputs of a task."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

from paddle import Tensor, nn

from paddle_automl.core.errors import ConfigError
from paddle_automl.inputs.base import Input
from paddle_automl.models.backbones.base import BACKBONES, KEY, Backbone
from paddle_automl.models.config import ModelConfig
from paddle_automl.models.layers import LayerFactory
from paddle_automl.models.pretrained import load_backbone, load_pretrained
from paddle_automl.paddle_compat.device import seed_everything

logger = logging.getLogger(__name__)


class Network(nn.Layer):
    """A backbone with a linear head of `outputs` outputs."""

    def __init__(self, backbone: Backbone, layers: LayerFactory, *, outputs: int, dropout: float) -> None:
        super().__init__()
        self.backbone = backbone
        self.feature_dim = backbone.out_features
        self.outputs = outputs
        self.loaded_names: frozenset[str] = frozenset()
        """Names of the parameters and buffers that were loaded from a file of weights."""
        self.needs_preparation = bool(backbone.statistics)
        """Whether `prepare` must be called before the first step: not for weights that came from a file."""
        self.pool = layers.global_pool()
        self.dropout = layers.dropout(dropout)
        self.fc = backbone.head(layers, outputs)

    def prepare(self, batches: Iterable[Sequence[Tensor]]) -> None:
        """Let the backbone set weights from training items; see `Backbone.prepare`."""
        self.backbone.prepare(batches)
        self.needs_preparation = False

    def features(self, *inputs: Tensor) -> Tensor:
        """Map the input's arrays, in the order of `Input.specs`, to the features before the head [N, F]."""
        features = self.backbone(*inputs)
        return self.pool(features).flatten(1) if features.ndim == 4 else features

    def head(self, features: Tensor) -> Tensor:
        """Map features [N, F] to raw outputs [N, K]."""
        return self.fc(self.dropout(features))

    def forward(self, *inputs: Tensor) -> Tensor:
        """Map the input's arrays, in the order of `Input.specs`, to raw outputs [N, K]."""
        return self.head(self.features(*inputs))


def build_network(config: ModelConfig, input: Input, outputs: int, *, seed: int | None = None) -> Network:
    """Return the network of `config` for `input`, with the weights of `config.pretrained` if given.

    `outputs` is K, see `Task.outputs`. With `seed` the initial weights are the same in every call; without it they
    depend on the state of Paddle's generator. Raises ConfigError if the backbone takes another input, if its
    options cannot work for these arrays, or if no tensor in the file of weights fits.
    """
    kind = BACKBONES[config.backbone.name]
    if kind.takes != input.name:
        raise ConfigError(_wrong_input(config.backbone.name, kind, input))
    if seed is not None:
        seed_everything(seed, "weights")
    layers = LayerFactory(config.activation, config.norm, config.initializer)
    backbone = kind.build(config.backbone, input=input, layers=layers)
    model = Network(backbone, layers, outputs=outputs, dropout=config.dropout)
    published = config.published()
    if published is not None:
        load_backbone(model, published.read(), str(published.file))
    elif config.pretrained is not None:
        report = load_pretrained(model, config.pretrained)
        logger.log(logging.WARNING if report.skipped else logging.INFO, "model.pretrained: %s", report)
    return model


def _wrong_input(name: str, kind: type[Backbone], input: Input) -> str:
    fitting = [other for other in BACKBONES.names() if BACKBONES[other].takes == input.name]
    choice = f"use one of {', '.join(fitting)}" if fitting else f"no backbone takes {input.name} input"
    return f"{KEY}: '{name}' takes {kind.takes} input, but the data are {input.name} input; {choice}"
