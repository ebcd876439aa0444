"""Feature maps inside a network: which layers give them, and how to record them in a forward pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import paddle
from paddle import Tensor, nn

from paddle_automl.inputs.base import TensorSpec
from paddle_automl.paddle_compat.modes import evaluating


@dataclass(frozen=True)
class MapPoint:
    """A layer whose output is a feature map [N, C, H, W]."""

    layer: str
    channels: int
    size: tuple[int, int]


def map_points(model: nn.Layer, specs: Sequence[TensorSpec]) -> list[MapPoint]:
    """Return the last layer at each resolution, largest maps first; maps of one pixel are left out."""
    found: dict[tuple[int, int], MapPoint] = {}

    def note(name: str, output: object) -> None:
        if isinstance(output, Tensor) and output.ndim == 4 and output.shape[2] * output.shape[3] > 1:
            size = (int(output.shape[2]), int(output.shape[3]))
            found[size] = MapPoint(name, int(output.shape[1]), size)

    with _hooked(model, note), evaluating(model), paddle.no_grad():
        model(*(paddle.to_tensor(spec.zeros()) for spec in specs))
    return [found[size] for size in sorted(found, reverse=True)]


@contextmanager
def caught(model: nn.Layer, layers: list[str]) -> Iterator[dict[str, Tensor]]:
    """Give a mapping that each forward pass fills with the outputs of the named layers."""
    outputs: dict[str, Tensor] = {}
    wanted = set(layers)
    named = dict(model.named_sublayers())
    handles = [_catch(named[name], name, outputs) for name in wanted]
    try:
        yield outputs
    finally:
        for handle in handles:
            handle.remove()


def _catch(layer: nn.Layer, name: str, outputs: dict[str, Tensor]) -> Any:
    def keep(_: nn.Layer, inputs: object, output: Tensor) -> None:
        outputs[name] = output

    return layer.register_forward_post_hook(keep)


@contextmanager
def _hooked(model: nn.Layer, note: Callable[[str, object], None]) -> Iterator[None]:
    handles = []
    for name, layer in model.named_sublayers():

        def hook(_: nn.Layer, inputs: object, output: object, name: str = name) -> None:
            note(name, output)

        handles.append(layer.register_forward_post_hook(hook))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
