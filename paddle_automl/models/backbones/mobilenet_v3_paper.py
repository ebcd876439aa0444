"""MobileNetV3 large and small exactly as published, which have weights of ImageNet."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, NamedTuple

from paddle import Tensor, nn
from pydantic import Field

from paddle_automl.core.schema import PluginConfig
from paddle_automl.models.attention import SqueezeExcitation
from paddle_automl.models.backbones.base import BACKBONES, ImageBackbone, Size
from paddle_automl.models.backbones.efficientnet_lite import scaled_channels
from paddle_automl.models.foreign_names import renamed_by
from paddle_automl.models.imagenet import of_paddle
from paddle_automl.models.layers import LayerFactory
from paddle_automl.models.published import Published, Renaming
from paddle_automl.models.shortcut import WithShortcut
from paddle_automl.models.staged import halved

STEM = 16
"""Channels of the first convolution."""
LAST = 6
"""Channels of the last convolution divided by those of the last block."""


class _Row(NamedTuple):
    """A block: kernel, channels inside, channels out, squeeze-and-excitation, hard swish (or ReLU), stride."""

    kernel: int
    inner: int
    outer: int
    excited: bool
    hard: bool
    stride: int


TABLES = {
    "large": (
        _Row(3, 16, 16, False, False, 1),
        _Row(3, 64, 24, False, False, 2),
        _Row(3, 72, 24, False, False, 1),
        _Row(5, 72, 40, True, False, 2),
        *(_Row(5, 120, 40, True, False, 1),) * 2,
        _Row(3, 240, 80, False, True, 2),
        _Row(3, 200, 80, False, True, 1),
        *(_Row(3, 184, 80, False, True, 1),) * 2,
        _Row(3, 480, 112, True, True, 1),
        _Row(3, 672, 112, True, True, 1),
        _Row(5, 672, 160, True, True, 2),
        *(_Row(5, 960, 160, True, True, 1),) * 2,
    ),
    "small": (
        _Row(3, 16, 16, True, False, 2),
        _Row(3, 72, 24, False, False, 2),
        _Row(3, 88, 24, False, False, 1),
        _Row(5, 96, 40, True, True, 2),
        *(_Row(5, 240, 40, True, True, 1),) * 2,
        _Row(5, 120, 48, True, True, 1),
        _Row(5, 144, 48, True, True, 1),
        _Row(5, 288, 96, True, True, 2),
        *(_Row(5, 576, 96, True, True, 1),) * 2,
    ),
}
"""Howard et al. 2019, tables 1 and 2."""
_MD5 = {"large": "118db5792b4e183b925d8e8e334db3df", "small": "34fe0e7c1f8b00b2b056ad6788d0590c"}
_PARTS = {"expand_conv": "expand", "bottleneck_conv": "depthwise", "linear_conv": "project"}
_BLOCK = r"blocks\.(?P<block>\d+)"


def _names(conv: str, norm: str, last: str, gate: str) -> list[tuple[str, str]]:
    """Return patterns of another project's names, and ours; the arguments are its names of parts of the network."""
    return [
        (rf"conv\.{conv}\.{{leaf}}", r"stem.conv.\g<leaf>"),
        (rf"conv\.{norm}\.{{leaf}}", r"stem.norm.\g<leaf>"),
        (rf"{last}\.{conv}\.{{leaf}}", r"last.conv.\g<leaf>"),
        (rf"{last}\.{norm}\.{{leaf}}", r"last.norm.\g<leaf>"),
        *(
            (rf"{_BLOCK}\.{part}\.{theirs}\.{{leaf}}", rf"blocks.{{place}}.{own}.{ours}.\g<leaf>")
            for part, own in _PARTS.items()
            for theirs, ours in ((conv, "conv"), (norm, "norm"))
        ),
        (rf"{_BLOCK}\.mid_se\.{gate}1\.{{leaf}}", r"blocks.{place}.excite.squeeze.\g<leaf>"),
        (rf"{_BLOCK}\.mid_se\.{gate}2\.{{leaf}}", r"blocks.{place}.excite.excite.\g<leaf>"),
    ]


_PADDLE = _names("0", "1", "lastconv", "fc")
_PADDLECLAS = _names("conv", "bn", "last_second_conv", "conv")


@BACKBONES.register("mobilenet_v3_paper")
class MobileNetV3Paper(ImageBackbone):
    """MobileNetV3 large or small as published, up to the last convolution; has weights of ImageNet.

    Howard et al., Searching for MobileNetV3 (2019), tables 1 and 2. The first blocks have ReLU, the others
    `model.activation`, which is hardswish unless it is set. Blocks of any other kind: `mobilenet_v3`.

    State-dict names: ``stem.*``, ``blocks.<number>.expand|depthwise|excite|project.*``, ``last.*``.
    """

    class Config(PluginConfig):
        """Options of the network."""

        variant: Literal["large", "small"] = "large"
        """Which of the two published networks."""
        width: float = Field(1.0, gt=0, le=4)
        """Factor of the channels; published weights need 1."""
        blocks: int | None = Field(None, ge=1)
        """Number of blocks, from the first one on; null takes all, which published weights need."""

    space: ClassVar[dict[str, Any]] = {"variant": {"choice": ["large", "small"]}, "width": {"choice": [0.5, 1.0]}}
    small: ClassVar[dict[str, Any]] = {"variant": "small", "width": 0.25, "blocks": 4}
    section: ClassVar[dict[str, Any]] = {"activation": "hardswish"}

    def __init__(self, config: Config, *, in_channels: int, layers: LayerFactory, image_size: Size) -> None:
        nn.Layer.__init__(self)
        channels = scaled_channels(STEM, config.width)
        self.stem = layers.conv_norm_act(in_channels, channels, 3, stride=2)
        self.blocks = nn.LayerList()
        size, early = halved(image_size), layers.with_activation("relu")
        for row in TABLES[config.variant][: config.blocks]:
            stride = row.stride if min(size) >= 4 else 1
            size = halved(size) if stride == 2 else size
            inner, outer = (scaled_channels(count, config.width) for count in (row.inner, row.outer))
            make = layers if row.hard else early
            self.blocks.append(_Block(make, early, channels, inner, outer, row, stride))
            channels = outer
        self.out_channels = LAST * channels
        self.last = layers.conv_norm_act(channels, self.out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, in_channels, H, W] to [N, out_channels, h, w]."""
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        return self.last(x)

    @classmethod
    def published(cls, config: Config) -> dict[str, Published]:
        """Return the weights of ImageNet-1k that ``paddle.vision`` has."""
        if config.width != 1 or config.blocks is not None:
            return {}
        file, norm = f"mobilenet_v3_{config.variant}_x1.0", {"name": "batch_norm", "epsilon": 1e-3}
        md5 = _MD5[config.variant]
        return of_paddle(file, md5, activation="hardswish", renamed=renamed_by(_PADDLE), norm=norm)

    @classmethod
    def renamings(cls, config: Config) -> tuple[Renaming, ...]:
        """Return those of ``paddle.vision`` and of PaddleClas."""
        return renamed_by(_PADDLE), renamed_by(_PADDLECLAS)


class _Block(WithShortcut):
    """Inverted residual; the input is added if the shapes are equal. `early` makes the layers of the gate."""

    def __init__(
        self,
        layers: LayerFactory,
        early: LayerFactory,
        inputs: int,
        inner: int,
        outer: int,
        row: _Row,
        stride: int,
    ) -> None:
        super().__init__()
        self.expand = layers.conv_norm_act(inputs, inner, 1) if inner != inputs else None
        self.depthwise = layers.conv_norm_act(inner, inner, row.kernel, stride=stride, groups=inner)
        hidden = scaled_channels(inner // 4, 1)
        self.excite = SqueezeExcitation(early, inner, hidden=hidden, hard=True) if row.excited else None
        self.project = layers.conv_norm_act(inner, outer, 1, activation=False)
        self.adds = stride == 1 and inputs == outer

    def residual(self, x: Tensor) -> Tensor:
        """Map [N, C, H, W] to [N, outer, h, w]."""
        y = self.depthwise(x if self.expand is None else self.expand(x))
        return self.project(y if self.excite is None else self.excite(y))
