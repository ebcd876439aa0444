"""Networks of the cell that NAS-Bench-201 (Dong and Yang 2020) tabulates."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import paddle
from paddle import Tensor, nn
from pydantic import Field

from paddle_automl.core.schema import Sequence
from paddle_automl.models.backbones.base import BACKBONES, Size
from paddle_automl.models.kernels import layers as fast
from paddle_automl.models.layers import LayerFactory
from paddle_automl.models.staged import Place, Staged, StagedConfig, StemEnd

Operation = Literal["conv_3x3", "conv_1x1", "avg_pool_3x3", "skip", "none"]
EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
"""Nodes that each edge of the cell joins, in the order of the benchmark's strings."""
NODES = 4


@BACKBONES.register("nas_bench_201")
class NasBench201(Staged):
    """A cell of 4 nodes and 6 edges, each with one of 5 operations, repeated in all stages.

    Dong and Yang, NAS-Bench-201: Extending the Scope of Reproducible Neural Architecture Search (2020),
    arXiv:2001.00326, section 2.1. A node is the sum of what its incoming edges make of earlier nodes; node 0 is the
    cell's input, node 3 its output. Convolutions are ReLU (here `model.activation`), convolution, normalization.
    Where the channels or the map change, a residual block comes before the cells. Edges that do not lead from the
    input to the output are not built.
    """

    class Config(StagedConfig):
        """Options of the network."""

        cells: Sequence[Annotated[int, Field(ge=1)]] = Field((1, 1, 1), min_length=1)
        """Cells of each stage; the paper has 5."""
        edges: Sequence[Operation] = Field(
            ("conv_3x3", "skip", "conv_3x3", "skip", "skip", "conv_3x3"), min_length=6, max_length=6
        )
        """Operations of the edges 0-1, 0-2, 1-2, 0-3, 1-3 and 2-3, in this order, which is that of the paper's
        strings."""

    space: ClassVar[dict[str, Any]] = {
        "width": {"choice": [8, 16, 32]},
        "cells": {"repeat": {"int": [1, 3]}, "times": 3},
        "edges": {
            "repeat": {"choice": ["skip", "none", "avg_pool_3x3", "conv_1x1", "conv_3x3"]},
            "times": 6,
        },
        "stem_stride": {"choice": ["auto", 1, 2]},
    }
    depth = "cells"
    small: ClassVar[dict[str, Any]] = {"width": 8, "cells": [1, 1]}

    def __init__(self, config: Config, *, in_channels: int, layers: LayerFactory, image_size: Size) -> None:
        super().__init__(config, in_channels=in_channels, layers=layers, image_size=image_size)
        self.last = layers.norm_act(self.out_channels)

    @classmethod
    def _block(cls, config: Config, layers: LayerFactory, place: Place) -> nn.Layer:
        cell = _Cell(config.edges, layers, place.width)
        if place.stride == 1 and place.in_channels == place.width:
            return cell
        return nn.Sequential(_Reduction(layers, place), cell)

    @classmethod
    def _stem_end(cls, config: Config) -> StemEnd:
        # The operations begin with the activation, and skips pass on values of both signs.
        return "normalization"


class _Cell(nn.Layer):
    """The sum, over the edges into the last node, of what they make of the nodes before it."""

    def __init__(self, operations: tuple[Operation, ...], layers: LayerFactory, channels: int) -> None:
        super().__init__()
        self.edges = nn.LayerDict()
        # (from, to) of each edge that is used, in order.
        self.used = used_edges(operations)
        for edge, operation in zip(EDGES, operations, strict=True):
            if edge in self.used:
                self.edges[f"{edge[0]}_{edge[1]}"] = _operation(operation, layers, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, C, H, W] to the same shape."""
        sums: dict[int, Tensor] = {0: x}
        for source, target in self.used:
            value = self.edges[f"{source}_{target}"](sums[source])
            sums[target] = fast.add(sums[target], value) if target in sums else value
        return sums[NODES - 1] if self.used else paddle.zeros_like(x)


class _Reduction(nn.Layer):
    """Residual block (He et al. 2016) between two stages; the shortcut is a mean of pixels and a 1 x 1
    convolution."""

    def __init__(self, layers: LayerFactory, place: Place) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            _convolution(layers, place.in_channels, place.width, 3, stride=place.stride),
            _convolution(layers, place.width, place.width, 3),
        )
        shortcut = [layers.avg_pool(2, ceil_mode=True)] if place.stride == 2 else []
        self.shortcut = nn.Sequential(*shortcut, layers.conv(place.in_channels, place.width, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, C, H, W] to [N, width, h, w]."""
        x, one = fast.fork(x)
        return fast.add(self.shortcut(x), self.residual(one))


def used_edges(operations: tuple[Operation, ...]) -> tuple[tuple[int, int], ...]:
    """Return the edges with an operation that lie on a path from node 0 to node 3, in the order of `EDGES`."""
    edges = [edge for edge, operation in zip(EDGES, operations, strict=True) if operation != "none"]
    reached, leading = {0}, {NODES - 1}
    for node in range(1, NODES):
        if any(target == node and source in reached for source, target in edges):
            reached.add(node)
    for node in reversed(range(NODES - 1)):
        if any(source == node and target in leading for source, target in edges):
            leading.add(node)
    return tuple((source, target) for source, target in edges if source in reached and target in leading)


def _operation(kind: Operation, layers: LayerFactory, channels: int) -> nn.Layer:
    if kind == "avg_pool_3x3":
        return layers.avg_pool(3, stride=1, padding=1)
    if kind == "skip":
        return nn.Identity()
    return _convolution(layers, channels, channels, 3 if kind == "conv_3x3" else 1)


def _convolution(layers: LayerFactory, inputs: int, outputs: int, kernel: int, *, stride: int = 1) -> nn.Layer:
    """Return activation, convolution and normalization."""
    return nn.Sequential(
        layers.activation(), layers.conv_norm_act(inputs, outputs, kernel, stride=stride, activation=False)
    )
