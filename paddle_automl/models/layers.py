"""The factory that makes the layers of all networks.

A backbone never calls ``paddle.nn`` for a convolution, normalization, activation, pooling, dropout or linear
layer: it asks the factory. So another implementation of such a layer applies to all networks.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy

from paddle import ParamAttr, Tensor, nn

from paddle_automl.core.schema import PluginConfig
from paddle_automl.models.activations import ACTIVATIONS
from paddle_automl.models.embedding import EmbeddingConfig
from paddle_automl.models.initializers import INITIALIZERS
from paddle_automl.models.kernels import layers as fast
from paddle_automl.models.norms import NORMS, Norm
from paddle_automl.models.token_embedding import Embedding
from paddle_automl.models.whitening import Whitening

Kernel = int | tuple[int, int]
"""Height and width of a convolution's kernel in pixels; one number for both."""


class LayerFactory:
    """Makes layers with one activation, one normalization and one initializer.

    `activation` and `initializer` are registered names; `norm` is the options of a registered normalization,
    `embedding` where vectors of tokens come from. In a `blank` network, whose weights are loaded afterwards, no
    vectors are read.
    """

    def __init__(
        self,
        activation: str,
        norm: PluginConfig,
        initializer: str,
        embedding: EmbeddingConfig | None = None,
        *,
        blank: bool = False,
    ) -> None:
        self._activation = ACTIVATIONS[activation]()
        self.norm_kind: Norm = NORMS[norm.name](norm)
        self._initializer = INITIALIZERS[initializer]()
        self._embedding = embedding or EmbeddingConfig()
        self.blank = blank

    def with_activation(self, activation: str) -> LayerFactory:
        """Return a factory that makes the same layers with another activation."""
        made = copy(self)
        made._activation = ACTIVATIONS[activation]()
        return made

    def conv(
        self,
        in_channels: int,
        out_channels: int,
        kernel: Kernel,
        *,
        stride: int = 1,
        groups: int = 1,
        dilation: int = 1,
        bias: bool | None = None,
        same: bool = False,
        normalized: bool = False,
    ) -> nn.Layer:
        """Return a convolution padded so that a stride of 1 keeps the size (odd `kernel`, of both sides or a pair).

        With a larger stride the zeros are on both sides; with `same` they are where TensorFlow puts them, for an
        even side only after the map (padding SAME).

        By default it has a bias only if no normalization follows: before one, a bias has no effect, and adding it
        takes half as long as the convolution itself on a CPU. `normalized` says that a normalization is all that
        sees its outputs, so that their scale has no effect (`kinds.scale_free_kernels`).
        """
        bias = not self.norm_kind.normalizes if bias is None else bias
        high, wide = (kernel, kernel) if isinstance(kernel, int) else kernel
        padding = dilation * (high // 2) if high == wide else [dilation * (high // 2), dilation * (wide // 2)]
        weight = ParamAttr(initializer=self._initializer.make(in_channels // groups * high * wide))
        made = fast.Conv2D(
            in_channels,
            out_channels,
            kernel,
            stride=stride,
            padding="SAME" if same else padding,
            dilation=dilation,
            groups=groups,
            weight_attr=weight,
            bias_attr=None if bias else False,
        )
        made.scale_free = normalized and self.norm_kind.normalizes
        return made

    def conv1d(self, in_channels: int, out_channels: int, kernel: int, *, padding: int) -> nn.Layer:
        """Return a convolution over time without bias: [N, in_channels, L] -> [N, out_channels, L'].

        `padding` zeros are put on both sides. Without a bias a window of zeros gives zeros, so that a longer row of
        zeros after an item changes nothing but the length.
        """
        weight = ParamAttr(initializer=self._initializer.make(in_channels * kernel))
        return fast.Conv1D(in_channels, out_channels, kernel, padding=padding, weight_attr=weight, bias_attr=False)

    def global_max_pool1d(self) -> nn.Layer:
        """Return the maximum over time: [N, C, L] -> [N, C, 1]."""
        return fast.AdaptiveMaxPool1D(1)

    def embedding(self, tokens: Sequence[str], width: int, *, dropout: float = 0.0) -> Embedding:
        """Return the vectors of `tokens`, the first of padding, the second of unknown ones: [N, L] -> [N, L, D].

        D is `width`, unless the configuration gives vectors of another one. While training, a fraction `dropout` of
        the tokens is read as unknown. Raises ConfigError for vectors that cannot be read.
        """
        options = self._embedding
        width = options.used_width or width
        made = Embedding(len(tokens), width, dropout=dropout)
        found = None if self.blank else options.vectors(tokens, width)
        if found is not None:
            made.begin_with(*found, frozen=options.frozen)
        return made

    @property
    def gives_vectors(self) -> bool:
        """Whether the configuration gives the vectors of tokens."""
        return self._embedding.given

    def norm(self, channels: int) -> nn.Layer:
        """Return a normalization of [N, channels, H, W]."""
        return self.norm_kind.make(channels)

    def activation(self) -> nn.Layer:
        """Return a new activation layer."""
        return self._activation.make()

    def conv_norm_act(
        self,
        in_channels: int,
        out_channels: int,
        kernel: Kernel,
        *,
        stride: int = 1,
        groups: int = 1,
        activation: bool = True,
        same: bool = False,
    ) -> nn.Layer:
        """Return convolution, normalization and, unless `activation` is False, activation."""
        return ConvNormAct(
            self.conv(in_channels, out_channels, kernel, stride=stride, groups=groups, same=same, normalized=True),
            self.norm(out_channels),
            self.activation() if activation else None,
        )

    def norm_act(self, channels: int) -> nn.Layer:
        """Return normalization and activation."""
        return NormAct(self.norm(channels), self.activation())

    def max_pool(
        self, kernel: int, *, stride: int | None = None, padding: int = 0, ceil_mode: bool = False
    ) -> nn.Layer:
        """Return a maximum over windows; the stride is the kernel unless given; `ceil_mode` rounds sizes up."""
        return fast.MaxPool2D(kernel, stride=stride, padding=padding, ceil_mode=ceil_mode)

    def avg_pool(
        self, kernel: int, *, stride: int | None = None, padding: int = 0, ceil_mode: bool = False
    ) -> nn.Layer:
        """Return a mean over windows; the stride is the kernel unless given; `ceil_mode` rounds sizes up."""
        return fast.AvgPool2D(kernel, stride=stride, padding=padding, ceil_mode=ceil_mode)

    def global_pool(self) -> nn.Layer:
        """Return the mean over all pixels: [N, C, H, W] -> [N, C, 1, 1]."""
        # `x.mean([2, 3])` takes ten times as long on a CPU.
        return fast.AdaptiveAvgPool2D(1)

    def global_max_pool(self) -> nn.Layer:
        """Return the maximum over all pixels: [N, C, H, W] -> [N, C, 1, 1]."""
        return fast.AdaptiveMaxPool2D(1)

    def whitening(self, in_channels: int, kernel: int, *, stride: int = 1) -> Whitening:
        """Return a convolution that makes the pixels of a window uncorrelated; see `Whitening`."""
        return Whitening(in_channels, kernel, stride=stride)

    def linear(self, in_features: int, out_features: int, *, bias: bool = True) -> nn.Layer:
        """Return a linear layer: [N, in_features] -> [N, out_features]."""
        weight = ParamAttr(initializer=self._initializer.make(in_features))
        return fast.Linear(in_features, out_features, weight_attr=weight, bias_attr=None if bias else False)

    def dropout(self, rate: float) -> nn.Layer:
        """Return a layer that sets a fraction `rate` of the values to zero while training."""
        return fast.Dropout(rate) if rate > 0 else nn.Identity()

    def stochastic_depth(self, rate: float) -> nn.Layer:
        """Return a layer that sets a fraction `rate` of the items to zero while training: skips a residual branch.

        Huang et al., Deep Networks with Stochastic Depth (2016), eq. 2 and 5, for each item by itself; what is kept
        is divided by 1 - rate, so that nothing changes in evaluation.
        """
        return fast.Dropout(rate, axis=0) if rate > 0 else nn.Identity()


class ConvNormAct(nn.Layer):
    """Convolution, normalization and an optional activation in sequence."""

    def __init__(self, conv: nn.Layer, norm: nn.Layer, activation: nn.Layer | None) -> None:
        super().__init__()
        self.conv = conv
        self.norm = norm
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, C, H, W] to [N, C', h, w]."""
        return fast.norm_act(self.norm, self.activation, self.conv(x))


class NormAct(nn.Sequential):
    """Normalization and activation in sequence."""

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, C, H, W] to the same shape."""
        return fast.norm_act(self[0], self[1], x)
