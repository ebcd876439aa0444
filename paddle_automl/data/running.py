"""Running a function over a whole split, batch by batch."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from paddle_automl.data.splits import Split
from paddle_automl.inputs.base import Arrays
from paddle_automl.inputs.batching import MOST_NUMBERS


def fitting_batch(shapes: Iterable[Sequence[int | None]], batch_size: int) -> int:
    """Return the size of a batch of items with arrays of these shapes: `batch_size`, fewer of large items.

    Dimensions without a size count as 1: `Split.batches` divides batches of long items.
    """
    numbers = sum(math.prod(size or 1 for size in shape) for shape in shapes)
    return max(1, min(batch_size, MOST_NUMBERS // max(numbers, 1)))


def run_split(split: Split, run: Callable[[Arrays], np.ndarray], batch_size: int = 64) -> np.ndarray:
    """Return the outputs, float32 ``[N, K]``, of all items of a split in their order.

    `run` maps a batch's arrays to outputs ``[B, K]``: a loaded network, or a layer in evaluation mode.
    """
    found = [run(batch.inputs) for batch in split.batches(batch_size)]
    return np.concatenate(found) if found else np.zeros((0, split.task.outputs), np.float32)
