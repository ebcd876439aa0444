"""The interface of heads."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from paddle import nn

from paddle_automl.core.registry import Registry
from paddle_automl.core.schema import PluginConfig
from paddle_automl.models.backbones.base import Backbone
from paddle_automl.models.layers import LayerFactory


class Head(ABC):
    """One kind of head; `make` returns the layer that maps features to the raw outputs of a task."""

    class Config(PluginConfig):
        """Options of the head."""

    space: ClassVar[dict[str, Any]] = {}
    """Domains of the options, as a sub-space of `search.space`."""

    def __init__(self, config: Any) -> None:
        self.config = config

    @abstractmethod
    def make(self, backbone: Backbone, layers: LayerFactory, outputs: int) -> nn.Layer:
        """Return a layer from features [N, F], F being `backbone.out_features`, to raw outputs [N, outputs].

        It gets all layers from `layers` that it can make.
        """


HEADS: Registry[Head] = Registry("head", "paddle_automl.models.heads", "model.head")
