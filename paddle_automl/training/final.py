"""The last step from a network's raw outputs to a task's outputs, as Paddle computes it."""

from __future__ import annotations

import paddle
from paddle import Tensor
from paddle.nn import functional as F

from paddle_automl.tasks.base import Final


def final_tensor(raw: Tensor, final: Final) -> Tensor:
    """Return the outputs [N, K] of raw outputs [N, K]: the activation, then ``scale * x + shift`` per output."""
    if final.activation == "softmax":
        raw = F.softmax(raw if final.temperature == 1 else raw / final.temperature, axis=-1)
    elif final.activation == "sigmoid":
        raw = F.sigmoid(raw)
    if final.scale is not None:
        raw = raw * paddle.to_tensor(final.scale, dtype=raw.dtype)
    if final.shift is not None:
        raw = raw + paddle.to_tensor(final.shift, dtype=raw.dtype)
    return raw
