"""Normalization of the features before a head."""

from __future__ import annotations

import math

import numpy as np
import paddle
from paddle import Tensor, nn

from paddle_automl.models.kernels import plain

SMALLEST = 1e-12
"""Length of a vector below which it counts as zero."""
EPSILON = 1e-6
"""Deviation of a feature below which it counts as constant."""


def directions(x: Tensor, axis: int) -> Tensor:
    """Return vectors along `axis` divided by their length; zero stays zero."""
    # Written with square and mean or sum, the exported program gives other numbers in Paddle Inference 3.3,
    # and F.normalize cannot be traced for the older kind of program.
    lengths = paddle.linalg.norm(plain(x), 2.0, axis=axis, keepdim=True)
    return x / paddle.clip(lengths, min=SMALLEST)


class Unit(nn.Layer):
    """Divides the features of an item by their root mean square, so that only their direction is left.

    The length becomes sqrt(F) rather than 1: then the same learning rates fit as for standardized features.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, F] to the same shape."""
        return directions(x, axis=1) * math.sqrt(x.shape[1])


class Standard(nn.Layer):
    """Subtracts the mean of each feature over the training items and divides by its deviation."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.register_buffer("mean", paddle.zeros([features]))
        self.register_buffer("std", paddle.ones([features]))

    def fit(self, features: np.ndarray) -> None:
        """Measure the training items' features [N, F]."""
        self.mean.set_value(features.mean(axis=0, dtype=np.float64).astype(np.float32))
        # A feature that is the same for all items tells nothing; it stays zero.
        deviation = features.std(axis=0, dtype=np.float64)
        self.std.set_value(np.where(deviation > EPSILON, deviation, 1.0).astype(np.float32))

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, F] to the same shape."""
        return (x - self.mean) / self.std


FEATURE_NORMS = {"none": None, "unit": lambda features: Unit(), "standard": Standard}
