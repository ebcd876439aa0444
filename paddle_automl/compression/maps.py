"""Feature maps inside a network: the layers that make them, and recording them in a forward pass."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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
    """Return the last layer at each resolution, largest maps first, without maps of one pixel."""
    found: dict[tuple[int, int], MapPoint] = {}

    def note(name: str, layer: nn.Layer, inputs: object, output: object) -> None:
        del layer, inputs
        if isinstance(output, Tensor) and output.ndim == 4 and output.shape[2] * output.shape[3] > 1:
            size = (int(output.shape[2]), int(output.shape[3]))
            found[size] = MapPoint(name, int(output.shape[1]), size)

    with hooked(dict(model.named_sublayers()), note):
        run_on_zeros(model, specs)
    return [found[size] for size in sorted(found, reverse=True)]


@contextmanager
def recorded(model: nn.Layer, layers: Iterable[str], *, calls: bool = False) -> Iterator[dict[str, Tensor]]:
    """Yield a mapping that each forward pass fills with the outputs of the named layers.

    With `calls` it is filled by calls of `model` itself: of those of several views (`models.views`) with the first
    one, that of the images as they are.
    """
    outputs: dict[str, Tensor] = {}
    named = dict(model.named_sublayers())

    def note(name: str, layer: nn.Layer, inputs: object, output: Tensor) -> None:
        del layer, inputs
        if not calls or name not in outputs:
            outputs[name] = output

    def begin(layer: nn.Layer, inputs: object) -> None:
        del layer, inputs
        outputs.clear()

    with hooked({name: named[name] for name in layers}, note):
        handle = model.register_forward_pre_hook(begin) if calls else None
        try:
            yield outputs
        finally:
            if handle is not None:
                handle.remove()


@contextmanager
def hooked(layers: Mapping[str, nn.Layer], note: Callable[[str, nn.Layer, Any, Any], None]) -> Iterator[None]:
    """Call `note` with (name, layer, its inputs, its output) after each pass through one of `layers`."""
    handles = []
    for name, layer in layers.items():

        def hook(layer: nn.Layer, inputs: Any, output: Any, name: str = name) -> None:
            note(name, layer, inputs, output)

        handles.append(layer.register_forward_post_hook(hook))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def run_on_zeros(model: nn.Layer, specs: Sequence[TensorSpec]) -> None:
    """Run one forward pass on an item of zeros, in evaluation mode and without gradients."""
    with evaluating(model), paddle.no_grad():
        model(*(paddle.to_tensor(spec.zeros()) for spec in specs))
