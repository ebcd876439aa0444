"""Normalization of feature maps [N, C, H, W] by name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from paddle import nn
from pydantic import Field

from paddle_automl.core.registry import Registry
from paddle_automl.core.schema import PluginConfig
from paddle_automl.models.kernels import layers as fast


class Norm(ABC):
    """One kind of normalization; `make` returns a new layer for each place where it is used."""

    class Config(PluginConfig):
        """Options of the normalization."""

    name: ClassVar[str] = ""
    normalizes: ClassVar[bool] = True
    """Whether a preceding offset has no effect, so that the convolution before it needs no bias."""
    smallest_map: ClassVar[int] = 1
    """Number of pixels of a feature map below which the result does not depend on the input."""

    def __init__(self, config: PluginConfig) -> None:
        self.config = config

    @abstractmethod
    def make(self, channels: int) -> nn.Layer:
        """Return a layer that maps [N, channels, H, W] to the same shape."""


NORMS: Registry[Norm] = Registry("normalization", __name__, "model.norm")


@NORMS.register("batch_norm")
class BatchNorm(Norm):
    """Normalization of each channel over the batch (Ioffe and Szegedy 2015); the fastest on a CPU."""

    class Config(PluginConfig):
        """Options of batch normalization."""

        momentum: float = Field(0.9, ge=0, lt=1)
        """Fraction of the old value that running mean and variance keep in a step."""
        epsilon: float = Field(1e-5, gt=0)
        """Added to the variance."""

    config: Config

    def make(self, channels: int) -> nn.Layer:  # noqa: D102
        return fast.BatchNorm2D(channels, momentum=self.config.momentum, epsilon=self.config.epsilon)


@NORMS.register("group_norm")
class GroupNorm(Norm):
    """Normalization over groups of channels of one image (Wu and He 2018); independent of the batch."""

    class Config(PluginConfig):
        """Options of group normalization."""

        groups: int = Field(8, ge=1)
        """Most groups of channels; a layer uses the largest number up to this that divides its channels into groups
        of at least two."""
        epsilon: float = Field(1e-5, gt=0)
        """Added to the variance."""

    config: Config

    def make(self, channels: int) -> nn.Layer:  # noqa: D102
        # A group of one channel on a map of one pixel would always come out as zero.
        fitting = [n for n in range(1, self.config.groups + 1) if channels % n == 0 and channels // n >= 2]
        return fast.GroupNorm(max(fitting, default=1), channels, epsilon=self.config.epsilon)


@NORMS.register("layer_norm")
class LayerNorm(Norm):
    """Normalization over channels and pixels of one image (Ba et al. 2016), scale and offset per channel."""

    class Config(PluginConfig):
        """Options of layer normalization."""

        epsilon: float = Field(1e-5, gt=0)
        """Added to the variance."""

    config: Config

    def make(self, channels: int) -> nn.Layer:  # noqa: D102
        # One group over all channels is the same formula in half the time of LayerNorm with transposes.
        return fast.GroupNorm(1, channels, epsilon=self.config.epsilon)


@NORMS.register("instance_norm")
class InstanceNorm(Norm):
    """Normalization of each channel of one image over its pixels (Ulyanov et al. 2016)."""

    class Config(PluginConfig):
        """Options of instance normalization."""

        epsilon: float = Field(1e-5, gt=0)
        """Added to the variance."""

    config: Config
    smallest_map = 2

    def make(self, channels: int) -> nn.Layer:  # noqa: D102
        return fast.InstanceNorm2D(channels, epsilon=self.config.epsilon)


@NORMS.register("none")
class NoNorm(Norm):
    """No normalization; convolutions get a bias instead."""

    normalizes = False

    def make(self, channels: int) -> nn.Layer:  # noqa: D102
        return nn.Identity()
