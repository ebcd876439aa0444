"""The first layer of networks that read tokens in order."""

from __future__ import annotations

import numpy as np
import paddle
from paddle import Tensor, nn

from paddle_automl.models.tables import RowTable

UNKNOWN = 1
"""Row of unknown tokens; 0 is padding."""
DEVIATION = 0.1
RATE = 0.2
"""Factor of the learning rate of tables."""


class Embedding(nn.Layer):
    """Vectors of tokens, of which padding is zero: [N, L] -> [N, L, D].

    While training, a fraction `dropout` of the tokens is read as unknown.
    """

    def __init__(self, rows: int, width: int, *, dropout: float = 0.0) -> None:
        super().__init__()
        self.table = RowTable(rows, width, deviation=DEVIATION, rate=RATE)
        self.dropout = dropout
        self.width = width

    def begin_with(self, vectors: np.ndarray, known: np.ndarray, *, frozen: bool) -> None:
        """Set the vectors [V, D] of the tokens that are `known` [V]; the others stay random."""
        with paddle.no_grad():
            own = self.table.weight.numpy()
            self.table.weight.set_value(np.where(known[:, None], vectors, own))
        self.table.weight.stop_gradient = frozen

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the vectors of tokens."""
        if self.dropout and self.training:
            lost = paddle.rand(tokens.shape) < self.dropout
            tokens = paddle.where(lost & (tokens > 0), paddle.full_like(tokens, UNKNOWN), tokens)
        return self.table.blended(self.table.rows(tokens))
