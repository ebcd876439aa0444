"""How a network of another training sees a batch: its own normalization, size, colours and order of classes."""

from __future__ import annotations

from collections.abc import Sequence

import paddle
from paddle import Tensor
from paddle.nn import functional as F

from paddle_automl.core.errors import ConfigError
from paddle_automl.data.preprocess import Preprocess

LUMINANCE = (0.299, 0.587, 0.114)
"""Shares of red, green and blue in grey, as Pillow has them (ITU-R 601-2)."""


class View:
    """From our images and classes to those of a network of another training, which `what` names in messages.

    Raises ConfigError if it does not know the same classes.
    """

    def __init__(
        self,
        theirs: Preprocess,
        their_classes: Sequence[str],
        ours: Preprocess,
        our_classes: Sequence[str],
        what: str,
    ) -> None:
        _require_classes(our_classes, their_classes, what)
        self.theirs = theirs
        self.ours = ours
        columns = [list(their_classes).index(name) for name in our_classes]
        self._columns = None if columns == sorted(columns) else paddle.to_tensor(columns, dtype="int64")

    def images(self, images: Tensor) -> Tensor:
        """Return our normalized images [N, C, H, W] as the network expects them.

        H and W are those of the batch: cheap first epochs have smaller images than ours are at last.
        """
        ours, theirs, size = self.ours, self.theirs, (int(images.shape[2]), int(images.shape[3]))
        same = (ours.mean, ours.std, ours.channels) == (theirs.mean, theirs.std, theirs.channels)
        if same and size == tuple(theirs.image_size):
            return images
        pixels = images * _per_channel(ours.std) + _per_channel(ours.mean)
        if ours.channels == 1 and theirs.channels == 3:
            pixels = pixels.expand([-1, 3, -1, -1])
        elif ours.channels == 3 and theirs.channels == 1:
            pixels = (pixels * _per_channel(LUMINANCE)).sum(axis=1, keepdim=True)
        if size != tuple(theirs.image_size):
            larger = all(t >= o for t, o in zip(theirs.image_size, size, strict=True))
            pixels = F.interpolate(pixels, size=list(theirs.image_size), mode="bilinear" if larger else "area")
        return (pixels - _per_channel(theirs.mean)) / _per_channel(theirs.std)

    def classes(self, probabilities: Tensor) -> Tensor:
        """Return the network's probabilities [N, K] in the order of our classes."""
        if self._columns is None:
            return probabilities
        return paddle.index_select(probabilities, self._columns, axis=1)


def _require_classes(expected: Sequence[str], got: Sequence[str], what: str) -> None:
    if sorted(expected) != sorted(got):
        missing = sorted(set(expected) - set(got))
        raise ConfigError(
            f"teacher: {what} knows {len(got)} classes, not the {len(expected)} of the data"
            f"{': ' + ', '.join(missing[:5]) + ' missing' if missing else ''}; choose a teacher of the same classes"
        )


def _per_channel(values: Sequence[float]) -> Tensor:
    return paddle.to_tensor(list(values), dtype="float32").reshape([1, -1, 1, 1])
