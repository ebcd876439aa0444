"""Layers of a network by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from paddle import nn


def replace_layer(model: nn.Layer, name: str, layer: nn.Layer) -> None:
    """Put `layer` in the place of the one with a dotted name, as in `named_sublayers`."""
    path, _, last = name.rpartition(".")
    parent = dict(model.named_sublayers(include_self=True))[path]
    parent.add_sublayer(last, layer)
