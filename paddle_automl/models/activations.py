"""Activation functions by name.

If Paddle's own kernel is slow on a CPU, training uses an equivalent formula; networks in evaluation mode (and so
exported ones) use Paddle's operator, which inference fuses into the preceding convolution.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import paddle
from paddle import Tensor, nn
from paddle.nn import functional as F

from paddle_automl.core.registry import Registry
from paddle_automl.core.schema import PluginConfig
from paddle_automl.models.kernels import layers as fast
from paddle_automl.models.kernels import plain


class Activation(ABC):
    """One activation function; `make` returns a new layer for each place where it is used."""

    class Config(PluginConfig):
        """An activation has no options but its name."""

    @abstractmethod
    def make(self) -> nn.Layer:
        """Return a layer that maps a tensor of any shape to one of the same shape."""


ACTIVATIONS: Registry[Activation] = Registry("activation", __name__, "model.activation")


@ACTIVATIONS.register("relu")
class Relu(Activation):
    """max(0, x)."""

    def make(self) -> nn.Layer:  # noqa: D102
        return fast.ReLU()


@ACTIVATIONS.register("relu6")
class Relu6(Activation):
    """min(max(0, x), 6)."""

    def make(self) -> nn.Layer:  # noqa: D102
        return fast.ReLU6()


@ACTIVATIONS.register("leaky_relu")
class LeakyRelu(Activation):
    """x where positive, else 0.01 x."""

    def make(self) -> nn.Layer:  # noqa: D102
        return fast.LeakyReLU(0.01)


@ACTIVATIONS.register("prelu")
class Prelu(Activation):
    """x where positive, else a x, with one learned a per layer that starts at 0.25 (He et al. 2015)."""

    def make(self) -> nn.Layer:  # noqa: D102
        return _Prelu()


@ACTIVATIONS.register("elu")
class Elu(Activation):
    """x where positive, else exp(x) - 1 (Clevert et al. 2016)."""

    def make(self) -> nn.Layer:  # noqa: D102
        return fast.ELU()


@ACTIVATIONS.register("gelu")
class Gelu(Activation):
    """x times the normal distribution function, in its tanh form (Hendrycks and Gimpel 2016)."""

    def make(self) -> nn.Layer:  # noqa: D102
        return fast.GELU(approximate=True)


@ACTIVATIONS.register("silu")
class Silu(Activation):
    """x sigmoid(x), also called swish (Ramachandran et al. 2017)."""

    def make(self) -> nn.Layer:  # noqa: D102
        # The gradient of Paddle's silu is NaN below about -88 on a CPU; swish is the same function without that.
        return fast.Swish()


@ACTIVATIONS.register("hardswish")
class Hardswish(Activation):
    """x relu6(x + 3) / 6 (Howard et al. 2019)."""

    def make(self) -> nn.Layer:  # noqa: D102
        return fast.Hardswish()


@ACTIVATIONS.register("mish")
class Mish(Activation):
    """x tanh(log(1 + exp(x))) (Misra 2019)."""

    def make(self) -> nn.Layer:  # noqa: D102
        return _Mish()


@ACTIVATIONS.register("tanh")
class Tanh(Activation):
    """Hyperbolic tangent."""

    def make(self) -> nn.Layer:  # noqa: D102
        return fast.Tanh()


class _Prelu(nn.Layer):
    def __init__(self) -> None:
        super().__init__()
        self.weight = self.create_parameter([1], default_initializer=nn.initializer.Constant(0.25))

    def forward(self, x: Tensor) -> Tensor:
        x = plain(x)
        if not self.training:
            return F.prelu(x, self.weight)
        # A third of the time of the prelu kernel on a CPU (18 instead of 50 ms for 128 x 32 x 28 x 28).
        return F.relu(x) - self.weight * F.relu(-x)


class _Mish(fast.Mish):
    def slow(self, x: Tensor) -> Tensor:
        if not self.training:
            return F.mish(x)
        # Less than half the time of the mish kernel on a CPU (26 instead of 68 ms for 128 x 32 x 28 x 28).
        return x * paddle.tanh(F.softplus(x))
