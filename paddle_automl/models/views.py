"""Test-time augmentation: the features of a few views of an image are averaged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from paddle import Tensor
from paddle.nn import functional as F

from paddle_automl.core.errors import ConfigError
from paddle_automl.inputs.base import TensorSpec

TestTimeAugmentation = Literal["none", "mirror", "mirror_and_shifts"]

_SHIFTS = ((0, 0), (-1, -1), (1, 1))
"""Shifts in pixels, down and to the right."""


def views_of(kind: TestTimeAugmentation, images: Tensor) -> list[Tensor]:
    """Return the views of images [N, C, H, W], each of the same shape; the first are the images themselves.

    mirror: and mirrored horizontally. mirror_and_shifts: both also shifted by one pixel to the upper left and to
    the lower right, where the edge is reflected, as in Jordan 2024, arXiv:2404.00498.
    """
    if kind == "none":
        return [images]
    shifts = _SHIFTS if kind == "mirror_and_shifts" else _SHIFTS[:1]
    shifted = [_shifted(images, down, right) for down, right in shifts]
    return [view for item in shifted for view in (item, item.flip(axis=[3]))]


def averaged(kind: TestTimeAugmentation, function: Callable[..., Tensor], inputs: Sequence[Tensor]) -> Tensor:
    """Return the mean of `function` over the views of its only argument; without views its result."""
    if kind == "none":
        return function(*inputs)
    total, *others = [function(view) for view in views_of(kind, inputs[0])]
    for other in others:
        total = total + other
    return total / (1 + len(others))


def check_views(kind: TestTimeAugmentation, specs: Sequence[TensorSpec], key: str) -> None:
    """Raise ConfigError if arrays of these `specs` have no views; `key` is the option."""
    if kind != "none" and [len(spec.shape) for spec in specs] != [3]:
        raise ConfigError(f"{key}: '{kind}' needs images; leave it at none")


def _shifted(images: Tensor, down: int, right: int) -> Tensor:
    if not down and not right:
        return images
    height, width = images.shape[2:]
    padded = F.pad(images, [1, 1, 1, 1], mode="reflect")
    return padded[:, :, 1 - down : 1 - down + height, 1 - right : 1 - right + width]
