"""Tables of vectors of which an item uses few rows, such as those of words and n-grams."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import paddle
from paddle import Tensor, nn
from paddle.nn import functional as F

from paddle_automl.paddle_compat.memory import rows_of


@dataclass(frozen=True)
class UsedRows:
    """The rows of a table that a forward pass used: their numbers, int64 ``[U]``, and their values.

    `values` float32 ``[U, D]`` is a leaf of the graph: after the backward pass its gradient is that of these rows.
    """

    numbers: np.ndarray
    values: Tensor


@dataclass(frozen=True)
class Blend:
    """Mixup of the items of a batch with partners from it: `weight` of each item, the rest of its partner.

    `partners` are their places, int64 ``[N]``.
    """

    weight: float
    partners: Tensor

    def __call__(self, values: Tensor) -> Tensor:
        """Return blended values [N, ...]."""
        return values * self.weight + paddle.gather(values, self.partners) * (1.0 - self.weight)


class RowTable(nn.Layer):
    """A table [V, D] whose row 0, of padding, is zero; `deviation` is that of its initial values.

    With `bias` sums get a bias [D], zero at first. `rate` is a factor of the learning rate of tables.

    A batch uses few of the rows, so a gradient of the whole table would mostly consist of zeros, and an optimizer
    would spend its time on rows that do not change. While `used` is a list, forward passes in training mode look at
    the used rows alone and append them; `training.tables` then updates these rows. Otherwise it is an ordinary
    layer of Paddle.
    """

    def __init__(self, rows: int, width: int, *, deviation: float, bias: bool = False, rate: float = 1.0) -> None:
        super().__init__()
        initial = nn.initializer.Normal(0.0, deviation) if deviation else nn.initializer.Constant(0.0)
        self.weight = self.create_parameter([rows, width], default_initializer=initial)
        with paddle.no_grad():
            self.weight[0] = 0.0
        self.bias = self.create_parameter([width], is_bias=True) if bias else None
        self.rate = rate
        self.used: list[UsedRows] | None = None
        self.blend: Blend | None = None
        """How the items of a batch are blended while training (`TablesConfig.mixup`)."""
        self.solved = False
        """Whether its values are computed from the training items at once (`Backbone.solve`), not learned."""

    def rows(self, numbers: Tensor) -> Tensor:
        """Return the rows of `numbers` [N, M]: [N, M, D]."""
        if self.used is None or not self.training or self.solved or self.weight.stop_gradient:
            return F.embedding(numbers, self.weight)
        found, places = np.unique(numbers.numpy(), return_inverse=True)
        values = paddle.to_tensor(rows_of(self.weight, found), stop_gradient=False)
        self.used.append(UsedRows(found, values))
        return F.embedding(paddle.to_tensor(places.reshape(numbers.shape)), values)

    def forward(self, numbers: Tensor, weights: Tensor) -> Tensor:
        """Return the sums of the rows of `numbers` [N, M] times `weights` [N, M]: [N, D]."""
        sums = self.blended(paddle.matmul(weights.unsqueeze(1), self.rows(numbers)).squeeze(1))
        return sums if self.bias is None else sums + self.bias

    def blended(self, values: Tensor) -> Tensor:
        """Return the vectors or sums of a batch [N, ...] as the training blends them."""
        return values if self.blend is None or not self.training else self.blend(values)
