"""What a backbone is, and the planning of strides that all of them share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import Any, ClassVar, Literal

from paddle import Tensor, nn
from pydantic import Field

from paddle_automl.core.errors import ConfigError
from paddle_automl.core.registry import Registry
from paddle_automl.core.schema import PluginConfig, Sequence
from paddle_automl.models.layers import LayerFactory

Size = tuple[int, int]
"""Height and width in pixels."""

KEY = "model.backbone"
"""Where a backbone's options stand in a configuration."""


class Backbone(nn.Layer):
    """Maps images to feature maps.

    `image_size` is the height and width of the images the network is meant for: automatic strides are chosen
    by it. Subclasses set `out_channels` and use no layer that `layers` did not make. Raises ConfigError if
    the options cannot work for that size.
    """

    class Config(PluginConfig):
        """Options of the backbone."""

    space: ClassVar[dict[str, Any]] = {}
    """Domains of the options, as a sub-space of `search.space`; taken by `space: auto`."""

    out_channels: int

    @abstractmethod
    def __init__(
        self, config: PluginConfig, *, in_channels: int, layers: LayerFactory, image_size: Size
    ) -> None: ...

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """Map [N, in_channels, H, W] to [N, out_channels, h, w]."""


BACKBONES: Registry[Backbone] = Registry("backbone", "paddle_automl.models.backbones", KEY)


class StagedConfig(PluginConfig):
    """Options common to backbones that are a stem and stages of growing width and falling resolution."""

    width: int = Field(16, ge=4)
    """Channels of the first stage."""
    growth: float = Field(2.0, ge=1.0, le=4.0)
    """Factor of the channels from stage to stage."""
    strides: Literal["auto"] | Sequence[int] = "auto"
    """Stride of each stage, 1 or 2. auto: 1 for the first, then 2 while the map stays 2 pixels or larger."""
    stem_kernel: Literal["auto", 1, 3, 5, 7] = "auto"
    """Kernel of the first convolution. auto: 7 for images with more than 112 pixels on the short side, else 3."""
    stem_stride: Literal["auto", 1, 2, 4] = "auto"
    """Stride of the first convolution. auto: 1 up to 48 pixels on the short side, else 2."""
    stem_pool: Literal["auto", True, False] = "auto"
    """Halve once more by maximum after the first convolution. auto: for more than 112 pixels."""

    def channels(self, stages: int) -> list[int]:
        """Return the width of each stage."""
        return [round(self.width * self.growth**stage) for stage in range(stages)]


def stage_strides(config: StagedConfig, stages: int, size: Size) -> list[int]:
    """Return the stride of each stage for feature maps that enter the first one with `size`.

    Raises ConfigError where a stage would halve a map of one pixel.
    """
    if config.strides == "auto":
        strides = []
        for stage in range(stages):
            stride = 2 if stage and min(size) >= 4 else 1
            size = halved(size) if stride == 2 else size
            strides.append(stride)
        return strides
    if len(config.strides) != stages:
        raise ConfigError(
            f"{KEY}.strides: needs one stride for each of the {stages} stages, got {list(config.strides)}"
        )
    for stage, stride in enumerate(config.strides):
        if stride not in (1, 2):
            raise ConfigError(f"{KEY}.strides.{stage}: must be 1 or 2, got {stride}")
        if stride == 2 and min(size) < 2:
            raise ConfigError(
                f"{KEY}.strides.{stage}: halves a map of {size[0]} x {size[1]} pixels; use fewer strides of 2, "
                "strides: auto, or a larger data.image_size"
            )
        size = halved(size) if stride == 2 else size
    return list(config.strides)


def final_size(size: Size, strides: list[int]) -> Size:
    """Return height and width after the strides; an odd side is rounded up."""
    for stride in strides:
        size = halved(size) if stride == 2 else size
    return size


def halved(size: Size) -> Size:
    """Return the size after a stride of 2."""
    return (size[0] + 1) // 2, (size[1] + 1) // 2


class Stem(nn.Layer):
    """First convolution, with the reduction that large images need; `size` is what comes out of it."""

    def __init__(
        self,
        config: StagedConfig,
        *,
        in_channels: int,
        layers: LayerFactory,
        image_size: Size,
        activated: bool = True,
    ) -> None:
        super().__init__()
        side = min(image_size)
        kernel = (7 if side > 112 else 3) if config.stem_kernel == "auto" else config.stem_kernel
        stride = (1 if side <= 48 else 2) if config.stem_stride == "auto" else config.stem_stride
        pool = side > 112 if config.stem_pool == "auto" else config.stem_pool
        if side < stride * (2 if pool else 1):
            raise ConfigError(
                f"{KEY}.stem_stride: {stride}{' and stem_pool' if pool else ''} leave nothing of an image of "
                f"{image_size[0]} x {image_size[1]} pixels; use auto or a larger data.image_size"
            )
        if activated:
            self.conv = layers.conv_norm_act(in_channels, config.width, kernel, stride=stride)
        else:
            self.conv = layers.conv(in_channels, config.width, kernel, stride=stride)
        self.pool = layers.max_pool(3, stride=2, padding=1) if pool else None
        size: Size = (-(-image_size[0] // stride), -(-image_size[1] // stride))
        self.size = halved(size) if pool else size

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, C, H, W] to [N, width, h, w]."""
        x = self.conv(x)
        return x if self.pool is None else self.pool(x)


def check_final_size(layers: LayerFactory, size: Size) -> None:
    """Raise ConfigError if the normalization would make the last maps of `size` independent of the image."""
    kind = layers.norm_kind
    if size[0] * size[1] < kind.smallest_map:
        raise ConfigError(
            f"model.norm: {kind.name} turns maps of {size[0]} x {size[1]} pixels into constants; use batch_norm "  # type: ignore[attr-defined]
            f"or layer_norm, fewer strides ({KEY}.strides) or a larger data.image_size"
        )


def pairs(first: int, channels: list[int]) -> Iterator[tuple[int, int]]:
    """Yield (channels in, channels out) of consecutive parts, the first of which gets `first`."""
    for count in channels:
        yield first, count
        first = count
