"""Networks of factorized convolutions (Szegedy et al. 2016) of any width and depth."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from paddle import Tensor, nn
from pydantic import Field

from paddle_automl.core.schema import Sequence
from paddle_automl.models.backbones.base import BACKBONES
from paddle_automl.models.kernels import layers as fast
from paddle_automl.models.layers import Kernel, LayerFactory
from paddle_automl.models.staged import Place, Staged, StagedConfig


@BACKBONES.register("inception_v3")
class InceptionV3(Staged):
    """Inception v3: modules of parallel branches whose large convolutions are split into small and flat ones.

    Szegedy et al., Rethinking the Inception Architecture for Computer Vision (2016). Modules of the first stage
    have 5 x 5 as two 3 x 3 convolutions (fig. 5), those between n x n as 1 x n and n x 1 (fig. 6), those of the
    last stage end in 1 x 3 and 3 x 1 side by side (fig. 7). A stage with a stride of 2 begins with strided
    convolutions beside a pooling (fig. 10). In the pool branch the 1 x 1 convolution comes first, so that fewer
    channels are pooled.
    """

    class Config(StagedConfig):
        """Options of the network."""

        modules: Sequence[Annotated[int, Field(ge=1)]] = Field((1, 1, 1), min_length=1)
        """Modules of each stage, that which halves the map included. With one stage they are as in the first."""
        flat: Literal[3, 5, 7] = 7
        """n: longer side of the flat kernels in the middle stages; 7 suits maps of 12 to 20 pixels."""

    space: ClassVar[dict[str, Any]] = {
        "width": {"choice": [8, 16, 32]},
        "modules": {"repeat": {"int": [1, 3]}, "times": {"int": [1, 4]}},
        "flat": {"choice": [3, 5, 7]},
        "stem_stride": {"choice": ["auto", 1, 2]},
    }
    depth = "modules"
    small: ClassVar[dict[str, Any]] = {"width": 8, "flat": 3}

    @classmethod
    def _block(cls, config: Config, layers: LayerFactory, place: Place) -> nn.Layer:
        if place.stride == 2:
            return _Module(layers, place.in_channels, place.width, _REDUCTION)
        last = len(config.modules) - 1
        kind = _SMALL if place.stage == 0 else _SPLIT if place.stage == last else _flat(config.flat)
        return _Module(layers, place.in_channels, place.width, kind)


Branch = tuple[Kernel | str, ...]
"""Steps of a branch: kernels of convolutions, ``/2`` for one of 3 x 3 with a stride of 2, ``pool``, ``pool/2``, and
``split``: 1 x 3 and 3 x 1 side by side."""
_SMALL: tuple[Branch, ...] = ((1,), (1, 3), (1, 3, 3), (1, "pool"))
_SPLIT: tuple[Branch, ...] = ((1,), (1, "split"), (1, 3, "split"), (1, "pool"))
_REDUCTION: tuple[Branch, ...] = ((1, "/2"), (1, 3, "/2"), (1, "pool/2"))


def _flat(n: int) -> tuple[Branch, ...]:
    one, other = (1, n), (n, 1)
    return (1,), (1, one, other), (1, other, one, other, one), (1, "pool")


class _Module(nn.Layer):
    """Parallel branches on the same input, concatenated along the channels, which they share evenly."""

    def __init__(
        self, layers: LayerFactory, in_channels: int, out_channels: int, branches: tuple[Branch, ...]
    ) -> None:
        super().__init__()
        width, rest = divmod(out_channels, len(branches))
        self.branches = nn.LayerList(
            [
                _branch(branch, layers, in_channels, width + (1 if index < rest else 0))
                for index, branch in enumerate(branches)
            ]
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, C, H, W] to [N, out_channels, h, w]."""
        inputs = fast.fork(x, len(self.branches))
        # By index: Paddle's tracing does not support zip(strict=True).
        return fast.concat([branch(inputs[index]) for index, branch in enumerate(self.branches)])


class _Split(nn.Layer):
    """Convolutions of 1 x 3 and 3 x 1 side by side, each with half of the channels."""

    def __init__(self, layers: LayerFactory, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.wide = layers.conv_norm_act(channels, channels - half, (1, 3))
        self.high = layers.conv_norm_act(channels, half, (3, 1)) if half else None

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, C, H, W] to the same shape."""
        if self.high is None:
            return self.wide(x)
        x, one = fast.fork(x)
        return fast.concat([self.wide(x), self.high(one)])


def _branch(steps: Branch, layers: LayerFactory, inputs: int, channels: int) -> nn.Layer:
    found = nn.Sequential()
    for index, step in enumerate(steps):
        if step == "pool":
            layer = layers.max_pool(3, stride=1, padding=1)
        elif step == "pool/2":
            layer = layers.max_pool(3, stride=2, padding=1)
        elif step == "split":
            layer = _Split(layers, channels)
        elif step == "/2":
            layer = layers.conv_norm_act(channels, channels, 3, stride=2)
        else:
            assert not isinstance(step, str)
            layer = layers.conv_norm_act(inputs if index == 0 else channels, channels, step)
        found.add_sublayer(str(index), layer)
    return found
