"""Plain stacks of convolutions (Simonyan and Zisserman 2015) of any width, depth and kernel."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from paddle import nn
from pydantic import Field

from paddle_automl.core.schema import Sequence
from paddle_automl.models.backbones.base import BACKBONES
from paddle_automl.models.layers import LayerFactory
from paddle_automl.models.staged import Place, Staged, StagedConfig


@BACKBONES.register("vgg")
class VGG(Staged):
    """VGG: stages of plain convolutions with pooling or a stride between them.

    Simonyan and Zisserman, Very Deep Convolutional Networks for Large-Scale Image Recognition (2015), with
    normalization, and with global pooling in place of the fully connected layers.
    """

    class Config(StagedConfig):
        """Options of the stack."""

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
    def _block(cls, config: Config, layers: LayerFactory, place: Place) -> nn.Layer:
        return layers.conv_norm_act(place.in_channels, place.width, config.kernel, stride=place.stride)

    @classmethod
    def _pool(cls, config: Config, layers: LayerFactory) -> nn.Layer | None:
        if config.reduction == "stride":
            return None
        make = layers.max_pool if config.reduction == "max_pool" else layers.avg_pool
        return make(2, ceil_mode=True)
