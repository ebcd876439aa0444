"""Residual networks (He et al. 2016a, 2016b, and wide ones) of any width, depth, kernel size and block order."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from paddle import Tensor, nn
from pydantic import Field

from paddle_automl.core.schema import Sequence
from paddle_automl.models.attention import Attention, attention_block
from paddle_automl.models.backbones.base import BACKBONES, Size
from paddle_automl.models.foreign_names import numbered_through, renamed_by
from paddle_automl.models.imagenet import of_paddle
from paddle_automl.models.kernels import layers as fast
from paddle_automl.models.layers import LayerFactory
from paddle_automl.models.published import Published, Renaming
from paddle_automl.models.staged import Place, Staged, StagedConfig, StemEnd

_PUBLISHED: dict[str, Any] = {
    "stem_kernel": 7,
    "stem_stride": 2,
    "stem_pool": True,
    "strides": (1, 2, 2, 2),
}
_NETWORKS: dict[str, tuple[tuple[int, ...], bool, str]] = {
    "resnet18": ((2, 2, 2, 2), False, "cf548f46534aa3560945be4b95cd11c4"),
    "resnet34": ((3, 4, 6, 3), False, "8d2275cf8706028345f78ac0e1d31969"),
    "resnet50": ((3, 4, 6, 3), True, "ca6f485ee1ab0492d38f323885b0ad80"),
    "resnet101": ((3, 4, 23, 3), True, "02f35f034ca3858e1e54d4036443c92d"),
    "resnet152": ((3, 8, 36, 3), True, "7ad16a2f1e7333859ff986138630fd7a"),
}
"""Blocks of each stage, whether they are bottlenecks (He et al. 2016a, table 1), and MD5 of the weights."""
_TORCH = [
    (r"conv1\.weight", "stem.conv.conv.weight"),
    (r"bn1\.{leaf}", r"stem.conv.norm.\g<leaf>"),
    *(
        (
            rf"layer{stage + 1}\.(\d+)\.{kind}{number + 1}\.{{leaf}}",
            rf"stages.{stage}.\1.residual.{number}.{own}.\g<leaf>",
        )
        for stage in range(4)
        for number in range(3)
        for kind, own in (("conv", "conv"), ("bn", "norm"))
    ),
    *(
        (rf"layer{stage + 1}\.(\d+)\.downsample\.{number}\.{{leaf}}", rf"stages.{stage}.\1.shortcut.{own}.\g<leaf>")
        for stage in range(4)
        for number, own in enumerate(("conv", "norm"))
    ),
]
_PADDLECLAS = [
    (r"stem\.0\.conv\.{leaf}", r"stem.conv.conv.\g<leaf>"),
    (r"stem\.0\.bn\.{leaf}", r"stem.conv.norm.\g<leaf>"),
    *(
        (rf"blocks\.(?P<block>\d+)\.conv(\d)\.{kind}\.{{leaf}}", rf"{{place}}.residual.\2.{own}.\g<leaf>")
        for kind, own in (("conv", "conv"), ("bn", "norm"))
    ),
    *(
        (rf"blocks\.(?P<block>\d+)\.short\.{kind}\.{{leaf}}", rf"{{place}}.shortcut.{own}.\g<leaf>")
        for kind, own in (("conv", "conv"), ("bn", "norm"))
    ),
]
EXPANSION = 4
"""Output channels of a bottleneck block divided by the channels inside it."""


@BACKBONES.register("resnet")
class ResNet(Staged):
    """Residual network: blocks of two or three convolutions whose input is added to their output.

    He et al., Deep Residual Learning for Image Recognition (2016), and, for the order `pre` (pre-activation),
    Identity Mappings in Deep Residual Networks (2016), arXiv:1603.05027. `widen` and `dropout` make it a wide
    residual network (Zagoruyko and Komodakis 2016, arXiv:1605.07146): WRN-16-4 is `order: pre`, `width: 16`,
    `widen: 4`, `blocks: [2, 2, 2]`.
    """

    class Config(StagedConfig):
        """Options of the residual network."""

        variants: ClassVar[dict[str, dict[str, Any]]] = {
            name: {"width": 64, "blocks": blocks, "bottleneck": bottleneck, **_PUBLISHED}
            for name, (blocks, bottleneck, _) in _NETWORKS.items()
        }

        variant: Literal["resnet18", "resnet34", "resnet50", "resnet101", "resnet152"] | None = None
        """A published network, whose options are those that are not given here; it has weights of ImageNet."""
        blocks: Sequence[Annotated[int, Field(ge=1)]] = Field((1, 1, 1), min_length=1)
        """Residual blocks of each stage."""
        kernel: Literal[3, 5, 7] = 3
        """Kernel of the convolutions inside the blocks."""
        order: Literal["post", "pre"] = "post"
        """Normalization and activation after each convolution (post) or before it (pre)."""
        bottleneck: bool = False
        """Blocks of three convolutions (1 x 1, kernel, 1 x 1), the last with four times the width, instead of
        two."""
        widen: int = Field(1, ge=1, le=16)
        """Factor of the channels of all stages; the first convolution keeps `width`."""
        dropout: float = Field(0.0, ge=0, lt=1)
        """Fraction of the values before the last convolution of a block that are set to zero while training."""
        attention: Attention = "none"
        """Attention block at the end of each block, before the sum: weights for channels from all channels (se) or
        from neighbouring ones (eca), or for channels and pixels (cbam)."""
        stochastic_depth: float = Field(0.0, ge=0, lt=1)
        """Probability that an item skips the last block while training; it grows linearly from block to block."""

        def channels(self, stages: int) -> list[int]:
            """Return the width of each stage."""
            return [channels * self.widen for channels in super().channels(stages)]

    space: ClassVar[dict[str, Any]] = {
        "width": {"choice": [8, 16, 32]},
        "blocks": {"repeat": {"int": [1, 3]}, "times": {"int": [1, 3]}},
        "kernel": {"choice": [3, 5]},
        "order": {"choice": ["post", "pre"]},
        "bottleneck": {"choice": [False, True]},
        "attention": {"choice": ["none", "se", "eca", "cbam"]},
        "stochastic_depth": {"choice": [0.0, 0.1, 0.2]},
        "stem_stride": {"choice": ["auto", 1, 2]},
    }

    def __init__(self, config: Config, *, in_channels: int, layers: LayerFactory, image_size: Size) -> None:
        super().__init__(config, in_channels=in_channels, layers=layers, image_size=image_size)
        if config.order == "pre":
            self.last = layers.norm_act(self.out_channels)

    @classmethod
    def published(cls, config: Config) -> dict[str, Published]:
        """Return the weights of ImageNet-1k that ``paddle.vision`` has."""
        if config.variant is None or not config.is_variant(config.variant):
            return {}
        md5 = _NETWORKS[config.variant][2]
        return of_paddle(config.variant, md5, activation="relu", renamed=renamed_by(_TORCH))

    @classmethod
    def renamings(cls, config: Config) -> tuple[Renaming, ...]:
        """Return those of ``paddle.vision`` and torchvision, and of PaddleClas (not of its vd networks)."""
        return renamed_by(_TORCH), renamed_by(_PADDLECLAS, numbered_through(config.blocks))

    @classmethod
    def _block(cls, config: Config, layers: LayerFactory, place: Place) -> nn.Layer:
        return _Block(config, layers, place)

    @classmethod
    def _channels(cls, config: Config, width: int) -> int:
        return width * EXPANSION if config.bottleneck else width

    @classmethod
    def _stem_end(cls, config: Config) -> StemEnd:
        return "activation" if config.order == "post" else "convolution"


class _Block(nn.Layer):
    """Residual block in either order; the shortcut is a 1 x 1 convolution if the shapes differ."""

    def __init__(self, config: ResNet.Config, layers: LayerFactory, place: Place) -> None:
        super().__init__()
        kernel, in_channels, width, stride = config.kernel, place.in_channels, place.width, place.stride
        # (kernel, channels in, channels out, stride) of each convolution.
        out_channels = ResNet._channels(config, width)
        if config.bottleneck:
            plan = [(1, in_channels, width, 1), (kernel, width, width, stride), (1, width, out_channels, 1)]
        else:
            plan = [(kernel, in_channels, width, stride), (kernel, width, width, 1)]
        projected = stride != 1 or in_channels != out_channels
        self.pre = config.order == "pre"
        self.shortcut: nn.Layer | None = None
        if self.pre:
            self.first = layers.norm_act(in_channels)
            steps = []
            for index, (size, inner, outer, step) in enumerate(plan):
                steps += [layers.norm_act(inner)] if index else []
                # The sum after the last one is not normalized.
                followed = index < len(plan) - 1
                steps.append(layers.conv(inner, outer, size, stride=step, normalized=followed))
            if projected:
                self.shortcut = layers.conv(in_channels, out_channels, 1, stride=stride)
        else:
            steps = [
                layers.conv_norm_act(inner, outer, size, stride=step, activation=index < len(plan) - 1)
                for index, (size, inner, outer, step) in enumerate(plan)
            ]
            if projected:
                self.shortcut = layers.conv_norm_act(in_channels, out_channels, 1, stride=stride, activation=False)
            self.activation = layers.activation()
        self.residual = _branch(config, layers, steps, out_channels, config.stochastic_depth * place.depth)

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, C, H, W] to [N, out_channels, h, w]."""
        if self.pre:
            y = self.first(x)
            # If the shape changes, the shortcut starts from the activated input too (He et al. 2016b, 4.1).
            shortcut = x if self.shortcut is None else self.shortcut(y)
            return fast.add(shortcut, self.residual(y))
        x, one = fast.fork(x)
        shortcut = x if self.shortcut is None else self.shortcut(x)
        return fast.add_act(shortcut, self.residual(one), self.activation)


def _branch(
    config: ResNet.Config, layers: LayerFactory, steps: list[nn.Layer], channels: int, skipped: float
) -> nn.Sequential:
    """Return the convolutions in sequence, with what the options put between and after them."""
    branch = nn.Sequential()
    for index, step in enumerate(steps):
        if config.dropout and index == len(steps) - 1:
            branch.add_sublayer("dropout", layers.dropout(config.dropout))
        branch.add_sublayer(str(index), step)
    attention = attention_block(config.attention, layers, channels)
    if attention is not None:
        branch.add_sublayer("attention", attention)
    if skipped:
        branch.add_sublayer("stochastic_depth", layers.stochastic_depth(skipped))
    return branch
