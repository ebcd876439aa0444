"""Image backbones made of a stem and stages of blocks: their options, strides, and common code."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from paddle import Tensor, nn
from pydantic import Field, model_validator

from paddle_automl.core.errors import ConfigError
from paddle_automl.core.schema import PluginConfig, Sequence
from paddle_automl.models.backbones.base import KEY, ImageBackbone, Size
from paddle_automl.models.drop_block import DropBlock
from paddle_automl.models.layers import LayerFactory


class StagedConfig(PluginConfig):
    """Common options of backbones with a stem and stages of growing width and falling resolution."""

    variants: ClassVar[dict[str, dict[str, Any]]] = {}
    """Options of the published networks that the backbone can be, by the values of its option `variant`."""

    width: int = Field(16, ge=4)
    """Channels of the first stage."""
    growth: float = Field(2.0, ge=1.0, le=4.0)
    """Factor of the channels from stage to stage."""
    widths: Sequence[Annotated[int, Field(ge=1)]] | None = None
    """Channels of each stage, as published networks have them, in place of `width` and `growth`; the first
    convolution keeps `width`."""
    strides: Literal["auto"] | Sequence[int] = "auto"
    """Stride of each stage, 1 or 2. auto: 1 for the first, then 2 while the map stays 2 pixels or larger."""
    stem_kernel: Literal["auto", 1, 3, 5, 7] = "auto"
    """Kernel of the first convolution. auto: 7 for images with more than 112 pixels on the short side, else 3."""
    stem_stride: Literal["auto", 1, 2, 4] = "auto"
    """Stride of the first convolution. auto: 1 up to 48 pixels on the short side, else 2."""
    stem_pool: Literal["auto", True, False] = "auto"
    """Max pooling with stride 2 after the first convolution. auto: for more than 112 pixels on the short side."""

    drop_block: float = Field(0.0, ge=0, lt=1)
    """Fraction of the feature maps after each of the last two stages that is set to zero while training, in squares
    of `drop_block_side` pixels (DropBlock)."""
    drop_block_side: int = Field(3, ge=1)
    """Side of such a square in pixels."""

    @model_validator(mode="before")
    @classmethod
    def _as_published(cls, data: Any) -> Any:
        """Fill in the options of the published network that `variant` names."""
        if not isinstance(data, dict) or not isinstance(data.get("variant"), str):
            return data
        return {**cls.variants.get(data["variant"], {}), **data}

    def is_variant(self, name: str | None) -> bool:
        """Return whether these are all the options of the published network of this name."""
        return name in self.variants and self == type(self).model_validate({"name": self.name, "variant": name})

    def channels(self, stages: int) -> list[int]:
        """Return the width of each stage."""
        if self.widths is None:
            return [round(self.width * self.growth**stage) for stage in range(stages)]
        if len(self.widths) != stages:
            raise ConfigError(
                f"{KEY}.widths: needs one number for each of the {stages} stages, got {list(self.widths)}"
            )
        return list(self.widths)


def stage_strides(config: StagedConfig, stages: int, size: Size) -> list[int]:
    """Return the stride of each stage for feature maps that enter the first one with `size`.

    Raises ConfigError if a stage would halve a map of one pixel.
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
                "strides: auto, or a larger data.input.size"
            )
        size = halved(size) if stride == 2 else size
    return list(config.strides)


def add_drop_block(config: StagedConfig, stage: nn.Sequential, number: int, stages: int) -> None:
    """Add to the end of a stage, number `number` of `stages` from 0, what the options drop there."""
    if config.drop_block and number >= stages - 2:
        stage.add_sublayer("drop_block", DropBlock(config.drop_block, config.drop_block_side))


def final_size(size: Size, strides: list[int]) -> Size:
    """Return height and width after the strides; an odd side is rounded up."""
    for stride in strides:
        size = halved(size) if stride == 2 else size
    return size


def halved(size: Size) -> Size:
    """Return the size after a stride of 2."""
    return (size[0] + 1) // 2, (size[1] + 1) // 2


StemEnd = Literal["convolution", "normalization", "activation"]
"""The last of the layers of a first convolution; those before it come too."""


class Stem(nn.Layer):
    """First convolution, with the downsampling that large images need; `size` is that of its output."""

    def __init__(
        self,
        config: StagedConfig,
        *,
        in_channels: int,
        layers: LayerFactory,
        image_size: Size,
        end: StemEnd = "activation",
    ) -> None:
        super().__init__()
        side = min(image_size)
        kernel = (7 if side > 112 else 3) if config.stem_kernel == "auto" else config.stem_kernel
        stride = (1 if side <= 48 else 2) if config.stem_stride == "auto" else config.stem_stride
        pool = side > 112 if config.stem_pool == "auto" else config.stem_pool
        if side < stride * (2 if pool else 1):
            raise ConfigError(
                f"{KEY}.stem_stride: {stride}{' and stem_pool' if pool else ''} leave no pixel of an image of "
                f"{image_size[0]} x {image_size[1]} pixels; use auto or a larger data.input.size"
            )
        if end == "convolution":
            self.conv = layers.conv(in_channels, config.width, kernel, stride=stride)
        else:
            activated = end == "activation"
            self.conv = layers.conv_norm_act(in_channels, config.width, kernel, stride=stride, activation=activated)
        self.pool = layers.max_pool(3, stride=2, padding=1) if pool else None
        size: Size = (-(-image_size[0] // stride), -(-image_size[1] // stride))
        self.size = halved(size) if pool else size

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, C, H, W] to [N, width, h, w]."""
        x = self.conv(x)
        return x if self.pool is None else self.pool(x)


def check_final_size(layers: LayerFactory, size: Size) -> None:
    """Raise ConfigError if the normalization would make the last maps, of this `size`, independent of the image."""
    kind = layers.norm_kind
    if size[0] * size[1] < kind.smallest_map:
        raise ConfigError(
            f"model.norm: {kind.name} turns maps of {size[0]} x {size[1]} pixels into constants; use batch_norm "
            f"or layer_norm, fewer strides ({KEY}.strides) or a larger data.input.size"
        )


@dataclass(frozen=True)
class Place:
    """The position of a block (stage, and index in the stage, from 0), its channels, its stride and its depth."""

    stage: int
    index: int
    in_channels: int
    width: int
    """Channels of the stage."""
    stride: int
    depth: float
    """Number of the block in the network, from 1, divided by the number of all blocks."""


class Staged(ImageBackbone):
    """A stem, then stages of blocks; subclasses define the block (`_block`).

    State-dict names: ``stem.*``, ``stages.<stage>.<index>.*``, and ``last.*`` where a layer follows the stages.
    """

    class Config(StagedConfig):
        """Options of the backbone; the one named `depth` holds the number of blocks of each stage."""

    depth: ClassVar[str] = "blocks"
    """Name of the option that holds the number of blocks of each stage."""
    small: ClassVar[dict[str, Any]] = {"width": 8}

    def __init__(self, config: Any, *, in_channels: int, layers: LayerFactory, image_size: Size) -> None:
        nn.Layer.__init__(self)
        self.stem = Stem(
            config,
            in_channels=in_channels,
            layers=layers,
            image_size=image_size,
            end=self._stem_end(config),
        )
        depths: Sequence[int] = getattr(config, self.depth)
        strides = stage_strides(config, len(depths), self.stem.size)
        check_final_size(layers, final_size(self.stem.size, strides))
        self.stages = nn.LayerList()
        channels = config.width
        widths = config.channels(len(depths))
        count = 0
        for number, (width, depth, stride) in enumerate(zip(widths, depths, strides, strict=True)):
            stage = nn.Sequential()
            pool = self._pool(config, layers) if stride == 2 else None
            if pool is not None:
                stage.add_sublayer("pool", pool)
            for index in range(depth):
                step = stride if index == 0 and pool is None else 1
                count += 1
                place = Place(number, index, channels, width, step, count / sum(depths))
                block = self._block(config, layers, place)
                stage.add_sublayer(str(index), block)
                channels = self._channels(config, width)
            add_drop_block(config, stage, number, len(depths))
            self.stages.append(stage)
        self.out_channels = channels
        self.last: nn.Layer | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, in_channels, H, W] to [N, out_channels, h, w]."""
        x = self.stem(x)
        for stage in self.stages:
            x = stage(x)
        return x if self.last is None else self.last(x)

    @classmethod
    @abstractmethod
    def _block(cls, config: Any, layers: LayerFactory, place: Place) -> nn.Layer:
        """Return the block at `place`."""

    @classmethod
    def _channels(cls, config: Any, width: int) -> int:
        """Return the channels of a block's output in a stage of `width`."""
        del config
        return width

    @classmethod
    def _pool(cls, config: Any, layers: LayerFactory) -> nn.Layer | None:
        """Return the pooling that halves a stage's input in place of its first block, or None."""
        del config, layers
        return None

    @classmethod
    def _stem_end(cls, config: Any) -> StemEnd:
        """Return what the first convolution ends with."""
        del config
        return "activation"
