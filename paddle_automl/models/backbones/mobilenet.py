"""MobileNetV2-like networks (Sandler et al. 2018): few weights and multiplications, by depth-wise convolutions."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from paddle import nn
from pydantic import Field

from paddle_automl.core.schema import Sequence
from paddle_automl.models.attention import Attention, attention_block
from paddle_automl.models.backbones.base import BACKBONES, Size
from paddle_automl.models.foreign_names import numbered_through, renamed_by
from paddle_automl.models.imagenet import of_paddle
from paddle_automl.models.layers import LayerFactory
from paddle_automl.models.published import Published, Renaming
from paddle_automl.models.shortcut import WithShortcut
from paddle_automl.models.staged import Place, Staged, StagedConfig


class InvertedConfig(StagedConfig):
    """Common options of networks of inverted residuals."""

    growth: float = Field(1.5, ge=1.0, le=4.0)
    """Factor of the channels from stage to stage."""
    blocks: Sequence[Annotated[int, Field(ge=1)]] = Field((1, 2, 2, 2), min_length=1)
    """Inverted residuals of each stage."""
    last: float = Field(4.0, ge=1.0, le=8.0)
    """Channels of the last 1 x 1 convolution divided by those of the last stage."""
    stochastic_depth: float = Field(0.0, ge=0, lt=1)
    """Probability that an item skips the last block that it can skip while training; it grows linearly from block
    to block."""


def _rules(blocks: tuple[int, ...]) -> list[tuple[str, str]]:
    """Return the rules for the layers of torchvision, in which the first stage has no expansion."""
    last = sum(blocks) + 1
    block = r"features\.(?P<block>\d+)\.conv"
    first = rf"features\.(?P<block>[1-{blocks[0]}])\.conv"
    own = "{place}.residual"
    return [
        (r"features\.0\.0\.{leaf}", r"stem.conv.conv.\g<leaf>"),
        (r"features\.0\.1\.{leaf}", r"stem.conv.norm.\g<leaf>"),
        (rf"features\.{last}\.0\.{{leaf}}", r"last.conv.\g<leaf>"),
        (rf"features\.{last}\.1\.{{leaf}}", r"last.norm.\g<leaf>"),
        (rf"{first}\.1\.{{leaf}}", rf"{own}.1.conv.\g<leaf>"),
        (rf"{first}\.2\.{{leaf}}", rf"{own}.1.norm.\g<leaf>"),
        (rf"{block}\.(\d)\.0\.{{leaf}}", rf"{own}.\2.conv.\g<leaf>"),
        (rf"{block}\.(\d)\.1\.{{leaf}}", rf"{own}.\2.norm.\g<leaf>"),
        (rf"{block}\.2\.{{leaf}}", rf"{own}.2.conv.\g<leaf>"),
        (rf"{block}\.3\.{{leaf}}", rf"{own}.2.norm.\g<leaf>"),
    ]


@BACKBONES.register("mobilenet")
class MobileNet(Staged):
    """MobileNetV2: inverted residual blocks (1 x 1 expansion, depth-wise convolution, 1 x 1 projection, sum).

    Sandler et al., MobileNetV2: Inverted Residuals and Linear Bottlenecks (2018). The projections have no
    activation; the paper's activation is `model.activation: relu6`. The first stage does not expand.
    """

    class Config(InvertedConfig):
        """Options of the network."""

        variants: ClassVar[dict[str, dict[str, Any]]] = {
            "mobilenet_v2": {
                "width": 32,
                "widths": (16, 24, 32, 64, 96, 160, 320),
                "blocks": (1, 2, 3, 4, 3, 3, 1),
                "strides": (1, 2, 2, 2, 1, 2, 1),
                "stem_kernel": 3,
                "stem_stride": 2,
                "stem_pool": False,
            }
        }

        variant: Literal["mobilenet_v2"] | None = None
        """The published network, whose options are those that are not given here; it has weights of ImageNet."""
        kernel: Literal[3, 5, 7] = 3
        """Kernel of the depth-wise convolutions."""
        expansion: int = Field(6, ge=1, le=8)
        """Channels inside a block divided by its input channels, after the first stage."""
        attention: Attention = "none"
        """Attention block after each depth-wise convolution: weights for channels from all channels (se) or from
        neighbouring ones (eca), or for channels and pixels (cbam)."""

    space: ClassVar[dict[str, Any]] = {
        "width": {"choice": [8, 16, 24]},
        "blocks": {"repeat": {"int": [1, 3]}, "times": {"int": [2, 5]}},
        "kernel": {"choice": [3, 5]},
        "expansion": {"choice": [3, 4, 6]},
        "attention": {"choice": ["none", "se"]},
        "stem_stride": {"choice": ["auto", 1, 2]},
    }
    small: ClassVar[dict[str, Any]] = {"width": 8, "blocks": [1, 2]}

    def __init__(self, config: Config, *, in_channels: int, layers: LayerFactory, image_size: Size) -> None:
        super().__init__(config, in_channels=in_channels, layers=layers, image_size=image_size)
        channels = self.out_channels
        self.out_channels = round(channels * config.last)
        self.last = layers.conv_norm_act(channels, self.out_channels, 1)

    @classmethod
    def published(cls, config: Config) -> dict[str, Published]:
        """Return the weights of ImageNet-1k that ``paddle.vision`` has."""
        if not config.is_variant(config.variant):
            return {}
        return of_paddle(
            "mobilenet_v2_x1.0",
            "0340af0a901346c8d46f4529882fb63d",
            activation="relu6",
            renamed=renamed_by(_rules(config.blocks), numbered_through(config.blocks, first=1)),
        )

    @classmethod
    def renamings(cls, config: Config) -> tuple[Renaming, ...]:
        """Return that of ``paddle.vision`` and torchvision."""
        return (renamed_by(_rules(config.blocks), numbered_through(config.blocks, first=1)),)

    @classmethod
    def _block(cls, config: Config, layers: LayerFactory, place: Place) -> nn.Layer:
        # The input of the first block is activated, and as in the paper no shortcut adds it. oneDNN's 8-bit
        # convolutions would also add that unsigned map to a signed one as if it were signed.
        same = place.stride == 1 and place.in_channels == place.width
        adds = same and (place.stage, place.index) != (0, 0)
        expansion = config.expansion if place.stage else 1
        return InvertedResidual(
            layers,
            place.in_channels,
            place.width,
            config.kernel,
            place.stride,
            expansion,
            adds,
            attention=attention_block(config.attention, layers, place.in_channels * expansion),
            skipped=config.stochastic_depth * place.depth,
        )


class InvertedResidual(WithShortcut):
    """A block that is wide inside and narrow outside; with `adds` the input, of the output's shape, is added.

    `attention` follows the depth-wise convolution; `skipped` is the fraction of the items for which the sum is only
    the input, while training.
    """

    def __init__(
        self,
        layers: LayerFactory,
        in_channels: int,
        width: int,
        kernel: int,
        stride: int,
        expansion: int,
        adds: bool,
        *,
        attention: nn.Layer | None = None,
        skipped: float = 0.0,
    ) -> None:
        super().__init__()
        inner = in_channels * expansion
        steps = [] if expansion == 1 else [layers.conv_norm_act(in_channels, inner, 1)]
        steps += [layers.conv_norm_act(inner, inner, kernel, stride=stride, groups=inner)]
        residual = nn.Sequential(*steps)
        if attention is not None:
            residual.add_sublayer("attention", attention)
        residual.add_sublayer(str(len(steps)), layers.conv_norm_act(inner, width, 1, activation=False))
        if adds and skipped:
            residual.add_sublayer("stochastic_depth", layers.stochastic_depth(skipped))
        self.residual = residual
        self.adds = adds
