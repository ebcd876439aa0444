"""Backbone, pooling, dropout and a head: from the arrays of an input to the raw outputs of a task."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import Any

from paddle import Tensor, nn

from paddle_automl.core.errors import ConfigError
from paddle_automl.core.schema import PluginConfig
from paddle_automl.inputs.base import Input
from paddle_automl.models.backbones.base import ANY, BACKBONES, KEY, Backbone
from paddle_automl.models.config import ModelConfig
from paddle_automl.models.feature_norms import FEATURE_NORMS
from paddle_automl.models.heads.base import HEADS
from paddle_automl.models.kinds import parameter_kinds
from paddle_automl.models.layers import LayerFactory
from paddle_automl.models.pretrained import check_whole_backbone, load_backbone, load_pretrained
from paddle_automl.models.problem import Problem
from paddle_automl.models.views import TestTimeAugmentation, averaged, check_views
from paddle_automl.paddle_compat.device import seed_everything

logger = logging.getLogger(__name__)


class Network(nn.Layer):
    """A backbone with a head of `outputs` outputs, by default a linear one.

    `head` are the options of a registered head, `feature_norm` a layer that maps features [N, F] before it.
    """

    def __init__(
        self,
        backbone: Backbone,
        layers: LayerFactory,
        *,
        outputs: int,
        dropout: float,
        head: PluginConfig | None = None,
        feature_norm: nn.Layer | None = None,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        backbone.expect(outputs)
        self.feature_dim = backbone.out_features
        self.outputs = outputs
        self.loaded_names: frozenset[str] = frozenset()
        """Names of the parameters and buffers that were loaded from a file of weights."""
        self.needs_preparation = bool(backbone.statistics)
        """Whether `prepare` must be called before the first step: not for weights that came from a file."""
        self.test_time_augmentation: TestTimeAugmentation = "none"
        """Views of an image over which features are averaged in evaluation mode."""
        self.needs_solution = "solved" in parameter_kinds(backbone).values()
        """Whether weights are computed from all training items before the first step.

        Those of another training (`model.pretrained`) are computed again, from the items of this one; not those of
        a checkpoint of this network.
        """
        self.pool = layers.global_pool()
        self.dropout = layers.dropout(dropout)
        self.feature_norm = feature_norm
        self.normalized = False
        """Whether the features that `head` is given were normalized before."""
        kind = HEADS["linear" if head is None else head.name]
        self.fc = kind(head).make(backbone, layers, outputs)

    def prepare(self, batches: Iterable[Sequence[Tensor]]) -> None:
        """Let the backbone set weights from training items; see `Backbone.prepare`."""
        self.backbone.prepare(batches)
        self.needs_preparation = False

    def solve(self, problem: Problem) -> None:
        """Let the backbone compute weights from all training items; see `Backbone.solve`."""
        self.backbone.solve(problem)
        self.needs_solution = False

    def features(self, *inputs: Tensor) -> Tensor:
        """Map the input's arrays, in the order of `Input.specs`, to the features before the head [N, F].

        In evaluation mode these are the mean over the views of `test_time_augmentation`.
        """
        return averaged("none" if self.training else self.test_time_augmentation, self._features, inputs)

    def _features(self, *inputs: Tensor) -> Tensor:
        features = self.backbone(*inputs)
        return self.pool(features).flatten(1) if features.ndim == 4 else features

    def head(self, features: Tensor) -> Tensor:
        """Map features [N, F] to raw outputs [N, K]."""
        if self.feature_norm is not None and not self.normalized:
            features = self.feature_norm(features)
        return self.fc(self.dropout(features))

    def forward(self, *inputs: Tensor) -> Tensor:
        """Map the input's arrays, in the order of `Input.specs`, to raw outputs [N, K]."""
        return self.head(self.features(*inputs))


def build_network(
    config: ModelConfig, input: Input, outputs: int, *, seed: int | None = None, blank: bool = False
) -> Network:
    """Return the network of `config` for `input`, with the weights of `config.pretrained` if given.

    `outputs` is K, see `Task.outputs`. With `seed` the initial weights are the same in every call; without it they
    depend on the state of Paddle's generator. A `blank` network gets weights afterwards: no vectors of tokens are
    read. Raises ConfigError if the backbone takes another input, if its
    options cannot work for these arrays, or if no tensor in the file of weights fits.
    """
    kind = BACKBONES[config.backbone.name]
    if kind.takes not in (input.name, ANY):
        raise ConfigError(_wrong_input(config.backbone.name, kind, input))
    if kind.gives_scores:
        _check_no_head(config)
    if seed is not None:
        seed_everything(seed, "weights")
    layers = LayerFactory(config.activation, config.norm, config.initializer, config.embedding, blank=blank)
    backbone = kind.build(config.backbone, input=input, layers=layers)
    model = _network(config, backbone, layers, outputs)
    check_views(config.test_time_augmentation, input.specs, "model.test_time_augmentation")
    model.test_time_augmentation = config.test_time_augmentation
    published = config.published()
    if published is not None:
        load_backbone(model, published.read(), str(published.file))
    elif config.pretrained is not None:
        report = load_pretrained(model, config.pretrained, kind.renamings(config.backbone))
        logger.log(logging.WARNING if report.skipped else logging.INFO, "model.pretrained: %s", report)
        if config.freeze is not None:
            check_whole_backbone(model, report)
    return model


def build_head(config: ModelConfig, features: int, outputs: int, *, seed: int) -> Network:
    """Return the head of `config` alone, as a network whose input are features [N, `features`].

    Its tensors have the names of the head of the whole network, so that both fit the same weights.
    """
    seed_everything(seed, "weights")
    layers = LayerFactory(config.activation, config.norm, config.initializer)
    return _network(config, Given(features), layers, outputs)


class Given(Backbone):
    """Stands for a backbone whose features are given; it has no tensors."""

    takes = "features"

    def __init__(self, features: int) -> None:
        super().__init__()
        self.out_features = features

    @classmethod
    def build(cls, config: Any, *, input: Input, layers: LayerFactory) -> Given:
        """Return it for the features `input`."""
        return cls(int(input.specs[0].shape[0] or 0))

    def forward(self, *inputs: Tensor) -> Tensor:
        """Return the features [N, F]."""
        return inputs[0]


def _network(config: ModelConfig, backbone: Backbone, layers: LayerFactory, outputs: int) -> Network:
    norm = FEATURE_NORMS[config.feature_norm]
    return Network(
        backbone,
        layers,
        outputs=outputs,
        dropout=config.dropout,
        head=config.head,
        feature_norm=None if norm is None else norm(backbone.out_features),
    )


def _check_no_head(config: ModelConfig) -> None:
    """Raise ConfigError for layers between features and outputs, where the backbone gives the outputs itself."""
    changed = [
        key
        for key, unused in (("head", config.head.name == "linear"), ("dropout", config.dropout == 0))
        if not unused
    ]
    if config.feature_norm != "none":
        changed.append("feature_norm")
    if changed:
        raise ConfigError(
            [
                f"model.{key}: does not apply to the backbone '{config.backbone.name}', which gives the outputs "
                "itself; leave it out"
                for key in changed
            ]
        )


def _wrong_input(name: str, kind: type[Backbone], input: Input) -> str:
    fitting = [other for other in BACKBONES.names() if BACKBONES[other].takes == input.name]
    choice = f"use one of {', '.join(fitting)}" if fitting else f"no backbone takes {input.name} input"
    return f"{KEY}: '{name}' takes {kind.takes} input, but the data are {input.name} input; {choice}"
