"""A free list of layers, as searches that choose layer by layer propose it."""

from __future__ import annotations

import logging
from typing import Any, ClassVar, Literal

from paddle import Tensor, nn
from pydantic import Field, model_validator

from paddle_automl.core.schema import PluginConfig, Section, Sequence
from paddle_automl.models.backbones.base import BACKBONES, ImageBackbone, Size
from paddle_automl.models.layers import LayerFactory
from paddle_automl.models.staged import check_final_size, halved

logger = logging.getLogger(__name__)


class LayerConfig(Section):
    """One layer: give exactly one of conv, pool and dropout."""

    conv: int | None = Field(None, ge=1)
    """Channels of a convolution, which is followed by normalization and activation."""
    kernel: Literal[1, 3, 5, 7] = 3
    """Kernel of the convolution."""
    pool: Literal["max", "mean"] | None = None
    """Maximum or mean over windows."""
    window: Literal[2, 3, 5] = 2
    """Side of the pooling's windows in pixels."""
    stride: Literal[1, 2] | None = None
    """Stride; none: 1 of a convolution, 2 of a pooling."""
    dropout: float | None = Field(None, gt=0, lt=1)
    """Fraction of the values set to zero while training."""

    @model_validator(mode="after")
    def _one_kind(self) -> LayerConfig:
        given = [name for name in ("conv", "pool", "dropout") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"give exactly one of conv, pool and dropout, got {' and '.join(given) or 'none'}")
        return self

    @property
    def reduces(self) -> bool:
        """Whether the layer halves the map."""
        return self.dropout is None and (self.stride or (1 if self.pool is None else 2)) == 2


_DEFAULT = ({"conv": 16}, {"pool": "max"}, {"conv": 32}, {"pool": "max"}, {"conv": 64})


@BACKBONES.register("layer_list")
class LayerList(ImageBackbone):
    """Any sequence of convolutions, poolings and dropout, one item of a list for each.

    The search space of MetaQNN (Baker et al., Designing Neural Network Architectures using Reinforcement Learning,
    2017, arXiv:1611.02167, table 1), with normalization, and with global pooling before the head. As there, a map
    of one pixel is not reduced any further: a pooling or stride that would do so has no effect.

    State-dict names: ``body.<index>.*``, counted over all items of the list.
    """

    class Config(PluginConfig):
        """The list."""

        layers: Sequence[LayerConfig] = Field(
            tuple(LayerConfig(**item) for item in _DEFAULT), min_length=1, max_length=100
        )
        """Layers from input to output, for example [{conv: 32, kernel: 5}, {pool: max}, {dropout: 0.2}]."""

    space: ClassVar[dict[str, Any]] = {
        "layers": {
            "repeat": {
                # The smallest layer first and the largest last, for the corners of the space.
                "choice": [
                    {"conv": 16, "kernel": 3},
                    {"dropout": 0.2},
                    {"pool": "max"},
                    {"pool": "mean"},
                    {"conv": 32, "kernel": 3},
                    {"conv": 32, "kernel": 5},
                    {"conv": 64, "kernel": 3},
                    {"conv": 64, "kernel": 5},
                ]
            },
            "times": {"int": [3, 6]},
        }
    }
    small: ClassVar[dict[str, Any]] = {"layers": [{"conv": 8}, {"pool": "max"}, {"conv": 8}]}

    def __init__(self, config: Config, *, in_channels: int, layers: LayerFactory, image_size: Size) -> None:
        nn.Layer.__init__(self)
        self.body = nn.Sequential()
        size, channels = image_size, in_channels
        for index, layer in enumerate(config.layers):
            reduces = layer.reduces and min(size) >= 2
            if layer.reduces and not reduces:
                logger.info("model.backbone.layers.%d: has no effect on a map of %d x %d pixels", index, *size)
            size = halved(size) if reduces else size
            made = _layer(layer, layers, channels, 2 if reduces else 1)
            if made is not None:
                self.body.add_sublayer(str(index), made)
            channels = layer.conv or channels
        check_final_size(layers, size)
        self.out_channels = channels

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, in_channels, H, W] to [N, out_channels, h, w]."""
        return self.body(x)


def _layer(config: LayerConfig, layers: LayerFactory, channels: int, stride: int) -> nn.Layer | None:
    """Return the layer; None for a pooling without effect."""
    if config.conv is not None:
        return layers.conv_norm_act(channels, config.conv, config.kernel, stride=stride)
    if config.dropout is not None:
        return layers.dropout(config.dropout)
    if stride == 1 and config.reduces:
        return None
    make = layers.max_pool if config.pool == "max" else layers.avg_pool
    if config.window == 2:
        return make(2, stride=2, ceil_mode=True) if stride == 2 else make(3, stride=1, padding=1)
    return make(config.window, stride=stride, padding=config.window // 2)
