"""The network as a dynamic graph in evaluation mode, with the last step of its task."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from paddle_automl.deployment.runtime import import_paddle
from paddle_automl.inputs.base import Arrays
from paddle_automl.paddle_compat.modes import evaluating
from paddle_automl.tasks.base import Final

MOST_INPUTS = 4
"""Most arrays that an exported network may take."""


def final_layer(model: Any, final: Final) -> Any:
    """Return a layer from the arrays of `model`, at most `MOST_INPUTS`, to outputs, float32 [N, K].

    If the model has a second result, the rejection score [N, 1], the layer has it as its second output.
    """
    paddle = import_paddle()
    functional = paddle.nn.functional

    class Outputs(paddle.nn.Layer):  # type: ignore[misc, name-defined, unused-ignore]
        def __init__(self, network: Any) -> None:
            super().__init__()
            self.network = network
            for name, value in _tensors(paddle, final).items():
                # Buffers instead of constants: a traced graph may only refer to tensors of the layer.
                self.register_buffer(name, value)

        # Named arguments: Paddle's tracing does not support a variable number of them.
        def forward(self, first, second=None, third=None, fourth=None):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202, RUF100
            given = [item for item in (first, second, third, fourth) if item is not None]
            found = self.network(*given)
            raw, further = found if isinstance(found, tuple) else (found, None)
            outputs = _applied(functional, raw, final, (self.sharpness, self.scale, self.shift))
            return outputs if further is None else (outputs, further)

    layer = Outputs(model)
    layer.training = False
    return layer


def network_outputs(model: Any, arrays: Arrays, final: Final) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the dynamic graph's outputs, float32 [N, K], of arrays [N, ...] in the order of the model's arguments.

    The second result is the rejection score, float32 [N, 1], of a model that has one (see `with_score`), else None.
    The layer must be in evaluation mode (see `evaluating`).
    """
    paddle = import_paddle()
    with paddle.no_grad():
        found = model(*(paddle.to_tensor(np.ascontiguousarray(item)) for item in arrays.values()))
        raw, further = found if isinstance(found, tuple) else (found, None)
        given = tuple(_tensors(paddle, final).values())
        outputs: np.ndarray = _applied(paddle.nn.functional, raw, final, given).numpy()
    return outputs, None if further is None else further.numpy()


def as_trained(model: Any, final: Final) -> Callable[[Arrays], np.ndarray]:
    """Return a function from arrays [N, ...] to the outputs, float32 [N, K], of the network in evaluation mode."""
    both = as_trained_with_score(model, final)
    return lambda arrays: both(arrays)[0]


def as_trained_with_score(model: Any, final: Final) -> Callable[[Arrays], tuple[np.ndarray, np.ndarray | None]]:
    """Return the same with the rejection score; see `network_outputs`."""

    def run(arrays: Arrays) -> tuple[np.ndarray, np.ndarray | None]:
        with evaluating(model):
            return network_outputs(model, arrays, final)

    return run


def _tensors(paddle: Any, final: Final) -> dict[str, Any]:
    """Return the numbers of the last step as tensors, None where it has none: sharpness, scale, shift."""
    # A tensor of its own for the temperature: of two factors in a row after a layer, Paddle Inference's fusion with
    # oneDNN keeps only the last one.
    sharpness = None if final.temperature == 1 else [1 / final.temperature]
    found = {"sharpness": sharpness, "scale": final.scale, "shift": final.shift}
    return {
        name: None if values is None else paddle.to_tensor(np.asarray(values, dtype=np.float32))
        for name, values in found.items()
    }


def _applied(functional: Any, raw: Any, final: Final, tensors: tuple[Any, Any, Any]) -> Any:
    sharpness, scale, shift = tensors
    if sharpness is not None:
        raw = raw * sharpness
    if final.activation == "softmax":
        raw = functional.softmax(raw, axis=-1)
    elif final.activation == "sigmoid":
        raw = functional.sigmoid(raw)
    if scale is not None:
        raw = raw * scale
    if shift is not None:
        raw = raw + shift
    return raw
