"""Keeping padding out of what a network computes over time."""

from __future__ import annotations

import paddle
from paddle import Tensor
from paddle.nn import functional as F

NEVER = -1e9
"""Added to the score of padding, so that its weight is zero."""


def mask_of(tokens: Tensor) -> Tensor:
    """Return 1 for tokens and 0 for padding (0): [N, L] float32."""
    return (tokens > 0).astype("float32")


def lengths_of(tokens: Tensor) -> Tensor:
    """Return the number of tokens of each text, [N] int64; padding is on the right."""
    return (tokens > 0).astype("int64").sum(axis=1)


def attended(states: Tensor, scores: Tensor, tokens: Tensor) -> Tensor:
    """Return the mean of states [N, L, D] by the softmax of `scores` [N, L, 1] over the tokens: [N, D]."""
    hidden = (1.0 - mask_of(tokens)).unsqueeze(-1) * NEVER
    weights = F.softmax(scores + hidden, axis=1)
    return paddle.matmul(weights, states, transpose_x=True).squeeze(1)


def mean_of(states: Tensor, tokens: Tensor) -> Tensor:
    """Return the mean of states [N, L, D] over the tokens: [N, D]."""
    mask = mask_of(tokens).unsqueeze(1)
    total = paddle.matmul(mask, states).squeeze(1)
    return total / paddle.clip(mask.sum(axis=-1), min=1.0)
