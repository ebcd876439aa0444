"""Functions where paths of a network join or split; outside the fast path each is a plain formula."""

from __future__ import annotations

from collections.abc import Sequence

import paddle
from paddle import Tensor, nn
from paddle.nn import functional as F

from paddle_automl.models.kernels import joining
from paddle_automl.models.kernels.layers.fast import attempt
from paddle_automl.models.kernels.memory import plain
from paddle_automl.models.kernels.mode import active, takes


def add(a: Tensor, b: Tensor) -> Tensor:
    """Return a + b."""
    y = attempt("joining", a, lambda dtype: joining.add(a, b, dtype)) if _both(a, b) else None
    return plain(a) + plain(b) if y is None else y


def add_relu(a: Tensor, b: Tensor) -> Tensor:
    """Return max(0, a + b)."""
    y = attempt("joining", a, lambda dtype: joining.add(a, b, dtype, relu=True)) if _both(a, b) else None
    return F.relu(plain(a) + plain(b)) if y is None else y


def add_act(a: Tensor, b: Tensor, activation: nn.Layer) -> Tensor:
    """Return ``activation(a + b)``; sum and ReLU are computed in one pass over the memory."""
    if active() is not None and isinstance(activation, nn.ReLU) and not activation._forward_post_hooks:
        return add_relu(a, b)
    return activation(add(a, b))


def concat(maps: Sequence[Tensor]) -> Tensor:
    """Return feature maps [N, C_i, H, W] joined along the channels."""
    y = None
    if active() is not None and all(takes(m) for m in maps):
        y = attempt("joining", maps[0], lambda dtype: joining.concat(maps, dtype))
    return paddle.concat([plain(m) for m in maps], axis=1) if y is None else y


def fork(x: Tensor, branches: int = 2) -> tuple[Tensor, ...]:
    """Return `x` once for each branch that uses it; results are the same without it, but slower."""
    if active() is None:
        return (x,) * branches
    return attempt("joining", x, lambda dtype: joining.fork(x, branches, dtype)) or (x,) * branches


def _both(a: Tensor, b: Tensor) -> bool:
    return active() is not None and takes(a) and takes(b)
