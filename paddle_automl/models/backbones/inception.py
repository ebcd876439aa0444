"""Networks of parallel branches (Szegedy et al. 2015, 2016) of any width, depth and set of branches."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from paddle import Tensor, nn
from pydantic import AfterValidator, Field

from paddle_automl.core.schema import Sequence
from paddle_automl.models.backbones.base import BACKBONES
from paddle_automl.models.kernels import layers as fast
from paddle_automl.models.layers import LayerFactory
from paddle_automl.models.staged import Place, Staged, StagedConfig

Branch = Literal["1x1", "3x3", "5x5", "pool"]


def _distinct(branches: tuple[Branch, ...]) -> tuple[Branch, ...]:
    twice = sorted({branch for branch in branches if branches.count(branch) > 1})
    if twice:
        raise ValueError(f"duplicate branch {', '.join(twice)}")
    return branches


@BACKBONES.register("inception")
class Inception(Staged):
    """Inception: modules whose parallel branches see the same input at several scales and are concatenated.

    Szegedy et al., Going Deeper with Convolutions (2015), with the 5x5 branch as two 3x3 convolutions as in
    Rethinking the Inception Architecture for Computer Vision (2016, fig. 5). In the pool branch the 1x1
    convolution comes first, so that fewer channels are pooled.
    """

    class Config(StagedConfig):
        """Options of the network."""

        modules: Sequence[Annotated[int, Field(ge=1)]] = Field((1, 1, 1), min_length=1)
        """Modules of each stage."""
        branches: Annotated[Sequence[Branch], AfterValidator(_distinct)] = Field(
            ("1x1", "3x3", "5x5", "pool"), min_length=1
        )
        """Branches of each module; its channels are split evenly among them."""

    space: ClassVar[dict[str, Any]] = {
        "width": {"choice": [8, 16, 32]},
        "modules": {"repeat": {"int": [1, 3]}, "times": {"int": [1, 3]}},
        "branches": {"choice": [["1x1", "3x3"], ["1x1", "3x3", "5x5"], ["1x1", "3x3", "5x5", "pool"]]},
        "stem_stride": {"choice": ["auto", 1, 2]},
    }
    depth = "modules"

    @classmethod
    def _block(cls, config: Config, layers: LayerFactory, place: Place) -> nn.Layer:
        return _Module(config.branches, layers, place.in_channels, place.width)

    @classmethod
    def _pool(cls, config: Config, layers: LayerFactory) -> nn.Layer:
        return layers.max_pool(2, ceil_mode=True)


class _Module(nn.Layer):
    """Parallel branches on the same input, concatenated along the channels."""

    def __init__(
        self, branches: tuple[Branch, ...], layers: LayerFactory, in_channels: int, out_channels: int
    ) -> None:
        super().__init__()
        width, rest = divmod(out_channels, len(branches))
        self.branches = nn.LayerList(
            [
                _branch(kind, layers, in_channels, width + (1 if index < rest else 0))
                for index, kind in enumerate(branches)
            ]
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, C, H, W] to [N, out_channels, H, W]."""
        inputs = fast.fork(x, len(self.branches))
        # By index: Paddle's tracing does not support zip(strict=True).
        return fast.concat([branch(inputs[index]) for index, branch in enumerate(self.branches)])


def _branch(kind: Branch, layers: LayerFactory, in_channels: int, channels: int) -> nn.Layer:
    first = layers.conv_norm_act(in_channels, channels, 1)
    if kind == "3x3":
        return nn.Sequential(first, layers.conv_norm_act(channels, channels, 3))
    if kind == "5x5":
        return nn.Sequential(
            first,
            layers.conv_norm_act(channels, channels, 3),
            layers.conv_norm_act(channels, channels, 3),
        )
    if kind == "pool":
        return nn.Sequential(first, layers.max_pool(3, stride=1, padding=1))
    return first
