"""The dynamic-graph side: the network as trained, in evaluation mode, with softmax."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from paddle_automl.deployment.runtime import import_paddle


@contextmanager
def evaluating(model: Any) -> Iterator[None]:
    """Put the layer and all below it in evaluation mode; afterwards each has its own mode again."""
    layers = list(model.sublayers(include_self=True))
    modes = [layer.training for layer in layers]
    model.eval()
    try:
        yield
    finally:
        for layer, mode in zip(layers, modes, strict=True):
            layer.training = mode


def softmax_layer(model: Any) -> Any:
    """Return a layer from images, float32 [N, C, H, W], to probabilities, float32 [N, K]."""
    paddle = import_paddle()

    class Probabilities(paddle.nn.Layer):  # type: ignore[misc, name-defined, unused-ignore]
        def __init__(self, network: Any) -> None:
            super().__init__()
            self.network = network

        def forward(self, image):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202, RUF100
            return paddle.nn.functional.softmax(self.network(image), axis=-1)

    layer = Probabilities(model)
    layer.training = False
    return layer


def network_probabilities(model: Any, images: np.ndarray) -> np.ndarray:
    """Return the dynamic graph's probabilities, float32 [N, K], of normalized images, float32 [N, C, H, W].

    The layer must be in evaluation mode (see `evaluating`).
    """
    paddle = import_paddle()
    with paddle.no_grad():
        logits = model(paddle.to_tensor(np.ascontiguousarray(images, dtype=np.float32)))
        probabilities: np.ndarray = paddle.nn.functional.softmax(logits, axis=-1).numpy()
    return probabilities
