"""Initial values of convolution kernels and linear weights by name."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from paddle import Tensor
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


@INITIALIZERS.register("dirac")
class Dirac(Initializer):
    """The first kernels of a convolution pass one input channel each unchanged, the others are uniform.

    Jordan 2024, arXiv:2404.00498, section 3.3, after Zagoruyko and Komodakis 2017: of a kernel [out, in, h, w] the
    first min(in, out) outputs are the identity, so that the layers of a deep network pass on their input at the
    start. The rest, and linear layers, are uniform within 1 / sqrt(fan_in).
    """

    def make(self, fan_in: int) -> initializer.Initializer:  # noqa: D102
        return _Dirac(1.0 / math.sqrt(fan_in))


class _Dirac(initializer.Initializer):
    def __init__(self, bound: float) -> None:
        super().__init__()
        self._uniform = initializer.Uniform(-bound, bound)

    def forward(self, var: Tensor, block: Any = None) -> Any:
        made = self._uniform(var, block)
        if var.ndim > 2:
            weights = var.numpy()
            same = np.arange(min(weights.shape[:2]))
            centres = (same, same, *(side // 2 for side in weights.shape[2:]))
            weights[same] = 0
            weights[centres] = 1
            var.set_value(weights)
        return made
