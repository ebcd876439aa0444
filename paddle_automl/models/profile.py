"""Size and cost of a network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import paddle
from paddle import Tensor, nn

from paddle_automl.inputs.base import TensorSpec
from paddle_automl.models.whitening import Whitening
from paddle_automl.paddle_compat.modes import evaluating

if TYPE_CHECKING:
    from paddle_automl.models.network import Network

COUNTED = nn.Conv1D | nn.Conv2D | nn.Linear | Whitening
"""Layers whose multiply-accumulates are counted."""


@dataclass(frozen=True)
class Profile:
    """Size and cost of a network, independent of the values of its weights."""

    parameters: int
    """Number of trained weights; running statistics of batch normalization are not counted."""
    flops: int
    """Multiply-accumulates of convolutions and linear layers for one item, each counted once, as `paddle.flops`
    counts them; a bias adds one per output. Normalization, activation and pooling are not counted."""
    size_mb: float
    """Megabytes (10^6 bytes) of all tensors as float32, running statistics included."""


def profile(model: nn.Layer, specs: Sequence[TensorSpec]) -> Profile:
    """Return size and cost of `model` for one item of the arrays `specs`; the model is not changed.

    Open axes get a typical length (see `TensorSpec.zeros`).
    """
    total = 0

    def count(layer: nn.Layer, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal total
        total += operations(layer, output)

    hooks = [
        layer.register_forward_post_hook(count)
        for layer in model.sublayers(include_self=True)
        if isinstance(layer, COUNTED)
    ]
    try:
        with evaluating(model), paddle.no_grad():
            model(*(paddle.to_tensor(spec.zeros()) for spec in specs))
    finally:
        for hook in hooks:
            hook.remove()
    # Paddle counts running statistics as parameters that are not trained.
    parameters = sum(int(np.prod(p.shape)) for p in model.parameters() if not p.stop_gradient)
    numbers = sum(int(np.prod(tensor.shape)) for tensor in model.state_dict().values())
    return Profile(parameters, total, numbers * 4 / 1e6)


def flops_of_step(model: Network, specs: Sequence[TensorSpec], batch_size: int) -> int:
    """Return the multiply-accumulates of the forward pass of a training step, which sees one view of each item."""
    views, model.test_time_augmentation = model.test_time_augmentation, "none"
    try:
        return profile(model, specs).flops * batch_size
    finally:
        model.test_time_augmentation = views


def operations(layer: nn.Layer, output: Tensor) -> int:
    """Return the multiply-accumulates that a convolution or linear layer needs for `output`."""
    # Of a convolution's kernel [out, in / groups, *window] every output uses one [in / groups, *window]; of a
    # linear weight [in, out] one column.
    shape = layer.weight.shape
    convolution = not isinstance(layer, nn.Linear)
    products = int(np.prod(shape[1:])) if convolution else int(shape[0])
    bias = 1 if convolution and layer.bias is not None else 0
    return int(np.prod(output.shape)) * (products + bias)
