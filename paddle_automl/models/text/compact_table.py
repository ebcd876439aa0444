"""Tables of n-grams and tokens in less space: without their smallest rows, and in 8 bits."""

from __future__ import annotations

import numpy as np
import paddle
from paddle import Tensor, nn

from paddle_automl.models.tables import RowTable

LARGEST = 127
"""Largest magnitude of an 8-bit code."""


class CompactTable(nn.Layer):
    """The rows of a `RowTable` that matter, [U, D], and where each of all rows is among them; it is not trained.

    Every n-gram stays known, so that the weights of a text's n-grams are those of training; one that was left out
    has the zero row of padding. In 8 bits a row is its codes times a scale of its own.
    """

    def __init__(self, table: RowTable, kept: np.ndarray, *, eight_bits: bool) -> None:
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

    def rows(self, numbers: Tensor) -> Tensor:
        """Return the rows of `numbers` [N, M]: [N, M, D]."""
        flat = numbers.flatten()
        places = paddle.gather(self.places, flat)
        rows = paddle.gather(self.codes, places).astype("float32")
        if self.scales is not None:
            rows = rows * paddle.gather(self.scales, places).unsqueeze(1)
        return rows.reshape([paddle.shape(numbers)[0], -1, self.width])

    def blended(self, values: Tensor) -> Tensor:
        """Return the values: nothing is trained, so nothing is blended."""
        return values

    def forward(self, numbers: Tensor, weights: Tensor) -> Tensor:
        """Return the sums of the rows of `numbers` [N, M] times `weights` [N, M]: [N, D]."""
        sums = paddle.matmul(weights.unsqueeze(1), self.rows(numbers)).squeeze(1)
        return sums if self.bias is None else sums + self.bias


def largest_rows(values: np.ndarray, keep: int | None) -> np.ndarray:
    """Return the numbers, rising, of the `keep` rows with the largest numbers; zero rows and row 0 are left out."""
    sizes = np.abs(values).max(axis=1)
    sizes[0] = 0
    order = np.argsort(-sizes, kind="stable")[: int((sizes > 0).sum())]
    return np.sort(order if keep is None else order[:keep])
