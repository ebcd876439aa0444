"""Parts of a sum: backbones with heads of their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from paddle import Tensor, nn

from paddle_automl.core.errors import ConfigError
from paddle_automl.core.registry import Registry
from paddle_automl.core.schema import PluginConfig
from paddle_automl.models.backbones.base import BACKBONES, Backbone
from paddle_automl.models.layers import LayerFactory

NONE = "none"
"""Name of a part that is left out."""


class Nothing(nn.Layer):
    """A part that is left out, so that a search can try a sum without it."""

    class Config(PluginConfig):
        """A part that is left out has no options."""

    space: dict[str, Any] = {}  # noqa: RUF012  as in Backbone
    name = NONE


class Parts(Registry[Any]):
    """The backbones that take `takes` input, and ``none``.

    `sums` are names of backbones with parts of their own: they are parts, too, but are not listed, because their
    options would contain themselves.
    """

    def __init__(self, takes: str, sums: Sequence[str] = ()) -> None:
        super().__init__("part of a sum", BACKBONES.package, BACKBONES.section)
        self.takes = takes
        self.sums = tuple(sums)

    def __getitem__(self, name: str) -> type[Any]:
        if name == NONE:
            return Nothing
        if name not in self:
            raise ConfigError(f"unknown part '{name}' of a sum; valid: {', '.join(self.names())}")
        return BACKBONES[name]

    def __contains__(self, name: object) -> bool:
        return name in self.names() or name in self.sums

    def names(self) -> list[str]:
        """Return the names of all parts but sums."""
        found = [name for name in BACKBONES.names() if BACKBONES[name].takes == self.takes]
        return [*(name for name in found if name not in self.sums), NONE]


class Part(nn.Layer):
    """A backbone and its head: from some of the arrays of a sum to raw outputs [N, outputs].

    `places` are the places of the backbone's arrays among those of the sum.
    """

    def __init__(self, backbone: Backbone, layers: LayerFactory, outputs: int, places: Sequence[int]) -> None:
        super().__init__()
        backbone.expect(outputs)
        self.backbone = backbone
        self.fc = backbone.head(layers, outputs)
        self.places = tuple(places)

    def forward(self, *inputs: Tensor) -> Tensor:
        """Return the raw outputs."""
        return self.fc(self.backbone(*(inputs[place] for place in self.places)))
