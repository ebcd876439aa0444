"""Updates of tables of which a batch uses few rows: only these rows are read, moved, and remembered."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import paddle
from paddle import Tensor, nn
from pydantic import Field

from paddle_automl.core.schema import Section
from paddle_automl.models.tables import Blend, RowTable
from paddle_automl.paddle_compat.memory import rows_of, set_rows

TINY = 1e-8
"""Added to the root of the squared gradients, as in Adam."""


class TablesConfig(Section):
    """Adam over the rows that a batch uses (lazy Adam), for tables of words and n-grams.

    The learning-rate schedule and `clip_global_norm` apply; weight decay, `l1`, `rates` and `ends` do not.
    """

    learning_rate: float = Field(0.01, gt=0)
    """Largest step size."""
    beta1: float = Field(0.9, ge=0, lt=1)
    """Decay of the mean of a row's gradients, per step that uses it."""
    beta2: float = Field(0.99, ge=0, lt=1)
    """Decay of the mean of a row's squared gradients, per step that uses it."""
    mixup: float | None = Field(None, gt=0)
    """Parameter of the Beta distribution from which each step draws how much of the vectors of its items, and of
    their targets, is blended with those of random partners (Guo et al., 2019, arXiv:1905.08941). None: they are not
    blended."""


class _Rows:
    """One table, and the means of gradients and squared gradients of its rows, [V, D]."""

    def __init__(self, table: RowTable, rate: float) -> None:
        self.table = table
        self.rate = rate
        self.mean = np.zeros(table.weight.shape, dtype=np.float32)
        self.square = np.zeros_like(self.mean)
        self.steps = 0

    def gradient(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Return the rows of this step, int64 [U], and their gradients [U, D]; None if the loss used none."""
        found = [rows for rows in self.table.used or () if rows.values.grad is not None]
        if not found:
            return None
        gradients = [rows.values.grad.numpy() for rows in found]
        if len(found) == 1:
            return found[0].numbers, gradients[0]
        numbers, places = np.unique(np.concatenate([rows.numbers for rows in found]), return_inverse=True)
        total = np.zeros((len(numbers), self.mean.shape[1]), dtype=np.float32)
        np.add.at(total, places, np.concatenate(gradients))
        return numbers, total

    def step(self, numbers: np.ndarray, gradient: np.ndarray, rate: float, config: TablesConfig) -> None:
        """Move some rows along their gradients (Kingma and Ba 2015, algorithm 1, of these rows alone)."""
        self.steps += 1
        one, two = config.beta1, config.beta2
        mean, square = self.mean[numbers] * one, self.square[numbers] * two
        mean += (1 - one) * gradient
        square += (1 - two) * gradient * gradient
        self.mean[numbers], self.square[numbers] = mean, square
        scale = rate * self.rate / (1 - one**self.steps)
        moved = rows_of(self.table.weight, numbers)
        moved -= scale * mean / (np.sqrt(square / (1 - two**self.steps)) + TINY)
        # Padding stays zero.
        moved[numbers == 0] = 0.0
        set_rows(self.table.weight, numbers, moved)


class TableUpdates:
    """Trains the tables of a network: `watch` before a step's forward pass, `step` and `forget` after it.

    `rates` are factors of the learning rate by the name of a parameter, as for loaded layers.
    """

    def __init__(self, model: nn.Layer, config: TablesConfig, rates: Mapping[str, float] | None = None) -> None:
        self.config = config
        rates = rates or {}
        self._tables = [
            _Rows(layer, config.learning_rate * layer.rate * rates.get(f"{path}.weight", 1.0))
            for path, layer in model.named_sublayers(include_self=True)
            if isinstance(layer, RowTable) and not layer.solved
        ]
        self._mixed = [layer for layer in model.sublayers(include_self=True) if isinstance(layer, RowTable)]
        self._random: np.random.Generator | None = None
        self._blend: Blend | None = None

    def __bool__(self) -> bool:
        return bool(self._tables)

    def watch(self) -> None:
        """Let the tables note which rows the next forward passes use; earlier notes are dropped."""
        for rows in self._tables:
            rows.table.used = []

    @contextmanager
    def mixing(self, targets: Tensor, *, again: bool = False) -> Iterator[Tensor]:
        """Blend what the tables give meanwhile, and yield the targets [B, K] blended in the same way.

        `again` is for another pass of the same step, which keeps the blend.
        """
        if self.config.mixup is None or not self._mixed:
            yield targets
            return
        kept = self._blend if again else None
        self._blend = blend = kept or self._drawn(self.config.mixup, len(targets))
        try:
            for table in self._mixed:
                table.blend = blend
            yield blend(targets)
        finally:
            for table in self._mixed:
                table.blend = None

    def _drawn(self, parameter: float, items: int) -> Blend:
        if self._random is None:
            # From the seed of the training.
            self._random = np.random.default_rng(int(paddle.randint(0, 2**31 - 1, [1]).item()))
        weight = float(self._random.beta(parameter, parameter))
        return Blend(weight, paddle.to_tensor(self._random.permutation(items)))

    def blended(self, values: Tensor) -> Tensor:
        """Return values of the items of a batch [N, ...], blended as its targets were."""
        return values if self._blend is None else self._blend(values)

    def used(self) -> list[Tensor]:
        """Return the values of the rows that were used, as leaves of the graph; each holds its gradient."""
        return [used.values for rows in self._tables for used in rows.table.used or ()]

    def clip(self, parameters: Iterable[Tensor], limit: float | None) -> None:
        """Scale all gradients, those of `parameters` too, down to a global norm of `limit`; None: leave them.

        Paddle's clipping does not know the tables; what it finds after this is within the limit.
        """
        if limit is None:
            return
        gradients = [tensor.grad for tensor in (*parameters, *self.used()) if tensor.grad is not None]
        with paddle.no_grad():
            # Squares of float16 may overflow where the gradients do not.
            singles = (item if item.dtype == paddle.float32 else item.astype("float32") for item in gradients)
            norm = float(np.sqrt(sum(float((single * single).sum()) for single in singles)))
            if norm > limit:
                for gradient in gradients:
                    gradient.scale_(limit / norm)

    def step(self, factor: float) -> None:
        """Update the rows that were used, with `factor` times the learning rate."""
        for rows in self._tables:
            found = rows.gradient()
            if found is not None:
                rows.step(*found, factor, self.config)

    def forget(self) -> None:
        """Stop watching: tables are ordinary layers again."""
        for rows in self._tables:
            rows.table.used = None


class WithTables:
    """An optimizer and the updates of tables as one for a scaler, which looks at the gradients of both and skips
    the step of both where one has overflowed."""

    def __init__(self, optimizer: Any, tables: TableUpdates) -> None:
        self.optimizer = optimizer
        self.tables = tables
        self.factor = 1.0
        """Factor of the learning rate of tables."""

    @property
    def parameters(self) -> list[Tensor]:
        """The parameters of the optimizer, none for a network that has only tables."""
        return list(getattr(self.optimizer, "_parameter_list", None) or ())

    @property
    def _parameter_list(self) -> list[Tensor]:
        """What Paddle's scaler takes the gradients from."""
        return [*self.parameters, *self.tables.used()]

    def clip(self, limit: float | None) -> None:
        """Scale all gradients down to a global norm of `limit`; None: leave them."""
        self.tables.clip(self.parameters, limit)

    def step(self) -> None:
        """Update the parameters and the rows that were used."""
        self.optimizer.step()
        self.tables.step(self.factor)
