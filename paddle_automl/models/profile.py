"""Size and cost of a network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import paddle
from paddle import Tensor, nn


@dataclass(frozen=True)
class Profile:
    """Numbers that do not depend on the weights' values."""

    parameters: int
    """Learned numbers; running statistics of batch normalization are not counted."""
    flops: int
    """Multiply-accumulates of convolutions and linear layers for one image, each counted once, as `paddle.flops`
    counts them; a bias adds one per output. Normalization, activation and pooling are not counted."""
    size_mb: float
    """Megabytes (10^6 bytes) of all tensors as float32, running statistics included."""


def profile(model: nn.Layer, input_shape: tuple[int, int, int]) -> Profile:
    """Return the numbers of `model` for one image of `input_shape` (C, H, W); the model is left as it was."""
    total = 0

    def count(layer: nn.Layer, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal total
        total += operations(layer, output)

    hooks = [
        layer.register_forward_post_hook(count)
        for layer in model.sublayers(include_self=True)
        if isinstance(layer, nn.Conv2D | nn.Linear)
    ]
    _run_in_evaluation_mode(model, lambda: model(paddle.zeros([1, *input_shape])))
    for hook in hooks:
        hook.remove()
    # Paddle counts running statistics among the parameters and marks them as not to be learned.
    parameters = sum(int(np.prod(p.shape)) for p in model.parameters() if not p.stop_gradient)
    numbers = sum(int(np.prod(tensor.shape)) for tensor in model.state_dict().values())
    return Profile(parameters, total, numbers * 4 / 1e6)


def operations(layer: nn.Layer, output: Tensor) -> int:
    """Return the multiply-accumulates that a convolution or linear layer needs for `output`."""
    # Of a convolution's kernel [out, in / groups, h, w] every output uses one [in / groups, h, w]; of a linear
    # weight [in, out] one column.
    shape = layer.weight.shape
    products = int(np.prod(shape[1:])) if isinstance(layer, nn.Conv2D) else int(shape[0])
    bias = 1 if isinstance(layer, nn.Conv2D) and layer.bias is not None else 0
    return int(np.prod(output.shape)) * (products + bias)


def _run_in_evaluation_mode(model: nn.Layer, call: Callable[[], object]) -> None:
    modes = [(layer, layer.training) for layer in model.sublayers(include_self=True)]
    model.eval()
    try:
        with paddle.no_grad():
            call()
    finally:
        for layer, training in modes:
            layer.training = training
