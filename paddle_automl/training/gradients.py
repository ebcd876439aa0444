"""Gradient centralization.

The order within a step is: gradient of the loss, centralization, clipping by the global norm, weight decay,
step. The last three are the optimizer's.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import paddle
from paddle import Tensor, nn


def centralized_parameters(model: nn.Layer) -> list[tuple[Tensor, tuple[int, ...]]]:
    """Return the weights of convolutions and linear layers with the axes that are summed for one output.

    These are all but the first axis of a kernel [out, in, *window] and the first of a weight [in, out]. An output
    with a single weight is left out: nothing would remain of its gradient.
    """
    pairs: list[tuple[Tensor, tuple[int, ...]]] = []
    for layer in model.sublayers(include_self=True):
        if isinstance(layer, nn.Conv1D | nn.Conv2D):
            pairs.append((layer.weight, tuple(range(1, layer.weight.ndim))))
        elif isinstance(layer, nn.Linear):
            pairs.append((layer.weight, (0,)))
    return [(weight, axes) for weight, axes in pairs if math.prod(weight.shape[axis] for axis in axes) > 1]


@paddle.no_grad()
def centralize(parameters: Iterable[tuple[Tensor, tuple[int, ...]]]) -> None:
    """Subtract from the gradient of each output's weights its mean: Yong et al. 2020, eq. 1 and 2."""
    for parameter, axes in parameters:
        gradient = parameter.grad
        if gradient is None:
            continue
        if len(axes) > 1:
            # Paddle's mean over several axes is slow on a CPU; over the last one it is not.
            mean = gradient.flatten(1).mean(axis=-1).reshape([-1, *(1 for _ in axes)])
        else:
            mean = gradient.mean(axis=axes[0], keepdim=True)
        gradient.subtract_(mean)
