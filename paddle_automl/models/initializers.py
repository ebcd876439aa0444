"""Initial values of convolution kernels and linear weights by name."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

from paddle.nn import initializer

from paddle_automl.core.registry import Registry
from paddle_automl.core.schema import PluginConfig


class Initializer(ABC):
    """One rule for initial weights."""

    class Config(PluginConfig):
        """An initializer has no options but its name."""

    @abstractmethod
    def make(self, fan_in: int) -> initializer.Initializer:
        """Return Paddle's initializer for a weight with `fan_in` inputs per output."""


INITIALIZERS: Registry[Initializer] = Registry("initializer", __name__, "model.initializer")


@INITIALIZERS.register("kaiming_normal")
class KaimingNormal(Initializer):
    """Normal with variance 2 / fan_in (He et al. 2015, eq. 10)."""

    def make(self, fan_in: int) -> initializer.Initializer:  # noqa: D102
        return initializer.KaimingNormal(fan_in=fan_in)


@INITIALIZERS.register("kaiming_uniform")
class KaimingUniform(Initializer):
    """Uniform with variance 2 / fan_in (He et al. 2015, eq. 10)."""

    def make(self, fan_in: int) -> initializer.Initializer:  # noqa: D102
        return initializer.KaimingUniform(fan_in=fan_in)


@INITIALIZERS.register("xavier_normal")
class XavierNormal(Initializer):
    """Normal with variance 2 / (fan_in + fan_out) (Glorot and Bengio 2010, eq. 12)."""

    def make(self, fan_in: int) -> initializer.Initializer:  # noqa: D102
        return initializer.XavierNormal()


@INITIALIZERS.register("xavier_uniform")
class XavierUniform(Initializer):
    """Uniform with variance 2 / (fan_in + fan_out) (Glorot and Bengio 2010, eq. 16)."""

    def make(self, fan_in: int) -> initializer.Initializer:  # noqa: D102
        return initializer.XavierUniform()


@INITIALIZERS.register("truncated_normal")
class TruncatedNormal(Initializer):
    """Normal cut off at two standard deviations, scaled to variance 1 / fan_in (LeCun et al. 1998)."""

    def make(self, fan_in: int) -> initializer.Initializer:  # noqa: D102
        # Truncation at two standard deviations leaves 0.8796 of the standard deviation.
        std = math.sqrt(1.0 / fan_in) / 0.87962566
        return initializer.TruncatedNormal(std=std, a=-2.0 * std, b=2.0 * std)


@INITIALIZERS.register("orthogonal")
class Orthogonal(Initializer):
    """Rows or columns orthogonal, gain sqrt(2) (Saxe et al. 2014)."""

    def make(self, fan_in: int) -> initializer.Initializer:  # noqa: D102
        return initializer.Orthogonal(gain=math.sqrt(2.0))
