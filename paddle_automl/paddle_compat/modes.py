"""Training and evaluation mode of a network."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from paddle import nn


@contextmanager
def evaluating(model: nn.Layer) -> Iterator[None]:
    """Put `model` and all its sublayers in evaluation mode; afterwards restore the mode of each layer."""
    layers = list(model.sublayers(include_self=True))
    modes = [layer.training for layer in layers]
    model.eval()
    try:
        yield
    finally:
        for layer, mode in zip(layers, modes, strict=True):
            layer.training = mode
