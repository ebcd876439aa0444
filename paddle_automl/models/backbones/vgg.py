"""Plain stacks of convolutions (Simonyan and Zisserman 2015) of any width, depth and kernel."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from paddle import nn
from pydantic import Field

from paddle_automl.core.schema import Sequence
from paddle_automl.models.backbones.base import BACKBONES
from paddle_automl.models.foreign_names import renamed_by
from paddle_automl.models.imagenet import of_paddle
from paddle_automl.models.layers import LayerFactory
from paddle_automl.models.published import Published, Renaming
from paddle_automl.models.staged import Place, Staged, StagedConfig

_PUBLISHED: dict[str, Any] = {
    "stem_kernel": 3,
    "stem_stride": 1,
    "stem_pool": False,
    "strides": (1, 2, 2, 2, 2),
}
_NETWORKS: dict[str, tuple[tuple[int, ...], str]] = {
    "vgg16": ((1, 2, 3, 3, 3), "89bbffc0f87d260be9b8cdc169c991c4"),
    "vgg19": ((1, 2, 4, 4, 4), "23b18bb13d8894f60f54e642be79a0dd"),
}
"""Convolutions of each stage after the first one (Simonyan and Zisserman 2015, table 1, D and E), and MD5 of the
weights."""


def _rules(convs: tuple[int, ...]) -> list[tuple[str, str]]:
    """Return the rules for the layers of torchvision: each convolution has an activation, each stage a pooling."""
    places = [("stem.conv", 0)]
    number = 2
    for stage, count in enumerate(convs):
        # Pooling ends the stage before.
        number += 1 if stage else 0
        for index in range(count):
            places.append((f"stages.{stage}.{index}", number))
            number += 2
    return [(rf"features\.{number}\.{{leaf}}", rf"{place}.conv.\g<leaf>") for place, number in places]


@BACKBONES.register("vgg")
class VGG(Staged):
    """VGG: stages of plain convolutions with pooling or a stride between them.

    Simonyan and Zisserman, Very Deep Convolutional Networks for Large-Scale Image Recognition (2015), with
    normalization, and with global pooling in place of the fully connected layers.
    """

    class Config(StagedConfig):
        """Options of the stack."""

        variants: ClassVar[dict[str, dict[str, Any]]] = {
            name: {"width": 64, "widths": (64, 128, 256, 512, 512), "convs": convs, **_PUBLISHED}
            for name, (convs, _) in _NETWORKS.items()
        }

        variant: Literal["vgg16", "vgg19"] | None = None
        """A published network, whose options are those that are not given here; it has weights of ImageNet for its
        convolutions, without normalization."""
        convs: Sequence[Annotated[int, Field(ge=1)]] = Field((1, 2, 2), min_length=1)
        """Convolutions of each stage."""
        kernel: Literal[3, 5, 7] = 3
        """Kernel of the convolutions."""
        reduction: Literal["max_pool", "avg_pool", "stride"] = "max_pool"
        """How a stage with a stride of 2 halves its input: by pooling first, or in its first convolution."""

    space: ClassVar[dict[str, Any]] = {
        "width": {"choice": [8, 16, 32]},
        "convs": {"repeat": {"int": [1, 3]}, "times": {"int": [1, 4]}},
        "kernel": {"choice": [3, 5]},
        "reduction": {"choice": ["max_pool", "stride"]},
        "stem_stride": {"choice": ["auto", 1, 2]},
    }
    depth = "convs"

    @classmethod
    def published(cls, config: Config) -> dict[str, Published]:
        """Return the weights of ImageNet-1k that ``paddle.vision`` has, without the fully connected layers."""
        if config.variant is None or not config.is_variant(config.variant):
            return {}
        renamed = renamed_by(_rules(config.convs))
        md5 = _NETWORKS[config.variant][1]
        return of_paddle(config.variant, md5, activation="relu", renamed=renamed, norm={"name": "none"})

    @classmethod
    def renamings(cls, config: Config) -> tuple[Renaming, ...]:
        """Return that of ``paddle.vision`` and torchvision."""
        return (renamed_by(_rules(config.convs)),)

    @classmethod
    def _block(cls, config: Config, layers: LayerFactory, place: Place) -> nn.Layer:
        return layers.conv_norm_act(place.in_channels, place.width, config.kernel, stride=place.stride)

    @classmethod
    def _pool(cls, config: Config, layers: LayerFactory) -> nn.Layer | None:
        if config.reduction == "stride":
            return None
        make = layers.max_pool if config.reduction == "max_pool" else layers.avg_pool
        return make(2, ceil_mode=True)
