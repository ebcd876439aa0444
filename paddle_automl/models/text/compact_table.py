"""Tables of n-grams in less space: without their smallest rows, and in 8 bits."""

from __future__ import annotations

import numpy as np
import paddle
from paddle import Tensor, nn

from paddle_automl.models.text.table import NGramTable

LARGEST = 127
"""Largest magnitude of an 8-bit code."""


class CompactTable(nn.Layer):
    """The rows of an `NGramTable` that matter, [U, D], and where each of all rows is among them; it is not trained.

    Every n-gram stays known, so that the weights of a text's n-grams are those of training; one that was left out
    has the zero row of padding. In 8 bits a row is its codes times a scale of its own.
    """

    def __init__(self, table: NGramTable, kept: np.ndarray, *, eight_bits: bool) -> None:
        super().__init__()
        values = np.asarray(table.weight.numpy())
        width = values.shape[1]
        places = np.zeros(len(values), np.int32)
        places[kept] = np.arange(1, len(kept) + 1)
        rows = np.concatenate([np.zeros((1, width), np.float32), values[kept]])
        self.register_buffer("places", paddle.to_tensor(places))
        if eight_bits:
            scales = np.maximum(np.abs(rows).max(axis=1), 1e-12).astype(np.float32) / LARGEST
            codes = np.rint(rows / scales[:, None]).astype(np.int8)
            self.register_buffer("codes", paddle.to_tensor(codes))
            self.register_buffer("scales", paddle.to_tensor(scales))
        else:
            self.register_buffer("codes", paddle.to_tensor(rows))
            self.scales: Tensor | None = None
        self.width = width
        self.used = None
        """No rows are noted for updates: they do not change."""
        self.bias = table.bias

    def forward(self, numbers: Tensor, weights: Tensor) -> Tensor:
        """Return the sums of the rows of `numbers` [N, M] times `weights` [N, M]: [N, D]."""
        flat = numbers.flatten()
        places = paddle.gather(self.places, flat)
        rows = paddle.gather(self.codes, places).astype("float32")
        if self.scales is not None:
            rows = rows * paddle.gather(self.scales, places).unsqueeze(1)
        rows = rows.reshape([paddle.shape(numbers)[0], -1, self.width])
        sums = paddle.matmul(weights.unsqueeze(1), rows).squeeze(1)
        return sums if self.bias is None else sums + self.bias
