"""The small, fast network of Jordan's CIFAR-10 speed runs (2024)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

from paddle import Tensor, nn
from pydantic import Field

from paddle_automl.core.errors import ConfigError
from paddle_automl.core.schema import PluginConfig
from paddle_automl.models.backbones.base import BACKBONES, KEY, ImageBackbone, Size
from paddle_automl.models.kernels import layers as fast
from paddle_automl.models.kinds import Kind
from paddle_automl.models.layers import LayerFactory

FIRST, LATER = 64, 256
"""Channels of the first group and of the later ones at width 1."""
SMALL = 28
"""Side in pixels below which images have two groups instead of three, and poolings round up."""


@BACKBONES.register("speednet")
class SpeedNet(ImageBackbone):
    """Whitening, groups of convolutions with a pooling in each, the global maximum, and a scaled linear head.

    Jordan, 94% on CIFAR-10 in 3.29 Seconds on a Single GPU (2024), arXiv:2404.00498, section 3. The first
    convolution (`Whitening`) is computed from training images before the first step and then fixed; windows are
    2 x 2 for colour images and 4 x 4 for grey ones. A group is convolution, max pooling by 2, normalization,
    activation, then more convolutions with normalization and activation. The scales of batch normalization stay
    at 1, the head has no bias, and features are divided by their number before it.

    Where the section `model` does not say otherwise, the activation is gelu, the initializer dirac, and batch
    normalization keeps 0.6 of its running statistics in a step. Made for `training.optimizer: muon`
    (configs/base/speed.yaml).
    """

    class Config(PluginConfig):
        """Options of the network."""

        width: float = Field(0.5, gt=0, le=4)
        """Factor of the channels, 64 in the first group and 256 in the others; rounded to multiples of 16."""
        depth: int = Field(2, ge=1, le=6)
        """Convolutions of each group."""
        groups: Literal["auto"] | Annotated[int, Field(ge=1, le=6)] = "auto"
        """Groups, each of which halves the map. auto: 3 for images with 28 pixels or more on the short side,
        else 2."""
        stem_stride: Literal["auto", 1, 2, 4] = "auto"
        """Stride of the first convolution. auto: 1 up to 64 pixels on the short side, 2 up to 128, else 4."""
        feature_scale: float | None = Field(None, gt=0)
        """Factor of the features before the head; none: 1 / number of features. For momentum instead of muon the
        paper uses 1/9."""

    space: ClassVar[dict[str, Any]] = {
        "width": {"choice": [0.25, 0.5, 1.0]},
        "depth": {"int": [1, 3]},
    }
    small: ClassVar[dict[str, Any]] = {"width": 0.0625}
    section: ClassVar[dict[str, Any]] = {
        "activation": "gelu",
        "norm": {"name": "batch_norm", "momentum": 0.6},
        "initializer": "dirac",
    }
    statistics: ClassVar[tuple[str, ...]] = ("whiten.weight",)

    def __init__(self, config: Config, *, in_channels: int, layers: LayerFactory, image_size: Size) -> None:
        nn.Layer.__init__(self)
        side = min(image_size)
        stride = (
            (1 if side <= 64 else 2 if side <= 128 else 4) if config.stem_stride == "auto" else config.stem_stride
        )
        # A window at least as large as the stride, so that no pixel is left out.
        kernel = max(4 if in_channels == 1 else 2, stride)
        groups = (3 if side >= SMALL else 2) if config.groups == "auto" else config.groups
        self._check_size(image_size, layers, kernel=kernel, stride=stride, groups=groups, round_up=side < SMALL)
        self.whiten = layers.whitening(in_channels, kernel, stride=stride)
        self.activation = layers.activation()
        self.groups = nn.LayerList()
        channels = self.whiten.out_channels
        for index in range(groups):
            width = _rounded((LATER if index else FIRST) * config.width)
            self.groups.append(_Group(layers, channels, width, config.depth, round_up=side < SMALL))
            channels = width
        self.pool = layers.global_max_pool()
        self.out_channels = channels
        self._scale = 1 / channels if config.feature_scale is None else config.feature_scale

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, in_channels, H, W] to features [N, out_channels]."""
        x = self.whiten.activated(x, self.activation)
        for group in self.groups:
            x = group(x)
        return self.pool(x).flatten(1) * self._scale

    def head(self, layers: LayerFactory, outputs: int) -> nn.Layer:
        """Return a linear layer without bias, its weights of standard deviation 1."""
        linear = layers.linear(self.out_channels, outputs, bias=False)
        weights = linear.weight.numpy()
        linear.weight.set_value(weights / weights.std())
        return linear

    def kinds(self) -> Mapping[str, Kind]:
        """Return the kind of the first convolution's bias."""
        return {"whiten.bias": "whitening_bias"}

    def prepare(self, batches: Iterable[Sequence[Tensor]]) -> None:
        """Compute the whitening from training images."""
        self.whiten.measure(images for (images,) in batches)

    @staticmethod
    def _check_size(
        size: Size, layers: LayerFactory, *, kernel: int, stride: int, groups: int, round_up: bool
    ) -> None:
        """Raise ConfigError if nothing would be left of an image."""
        height, width = ((side - kernel) // stride + 1 for side in size)
        for _ in range(groups):
            if min(height, width) < 2:
                raise ConfigError(
                    f"{KEY}: speednet with {groups} groups leaves nothing of an image of {size[0]} x {size[1]} "
                    "pixels; set a larger data.input.size, fewer groups, or another backbone"
                )
            height, width = ((side + round_up) // 2 for side in (height, width))
        kind = layers.norm_kind
        if height * width < kind.smallest_map:
            raise ConfigError(
                f"model.norm: {kind.name} turns maps of {height} x {width} pixels into constants; use batch_norm, "
                f"fewer groups ({KEY}.groups) or a larger data.input.size"
            )


class _Group(nn.Layer):
    """Convolutions with normalization and activation, with a max pooling by 2 after the first of them."""

    def __init__(self, layers: LayerFactory, in_channels: int, width: int, depth: int, *, round_up: bool) -> None:
        super().__init__()
        self.convs = nn.LayerList(
            [layers.conv(width if index else in_channels, width, 3, normalized=True) for index in range(depth)]
        )
        self.pool = layers.max_pool(2, ceil_mode=round_up)
        self.norms = nn.LayerList([_without_scale(layers.norm(width)) for _ in range(depth)])
        self.activations = nn.LayerList([layers.activation() for _ in range(depth)])

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, in_channels, H, W] to [N, width, H / 2, W / 2]."""
        for index, conv in enumerate(self.convs):
            x = conv(x)
            x = x if index else self.pool(x)
            x = fast.norm_act(self.norms[index], self.activations[index], x)
        return x


def _rounded(channels: float) -> int:
    return max(16, round(channels / 16) * 16)


def _without_scale(norm: nn.Layer) -> nn.Layer:
    """Return the normalization; that of a batch with its scale fixed at 1, as what follows can scale too."""
    if isinstance(norm, nn.BatchNorm2D):
        norm.weight.stop_gradient = True
    return norm
