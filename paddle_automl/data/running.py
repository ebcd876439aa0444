"""Running a function over a whole split, batch by batch."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from paddle_automl.data.splits import Split
from paddle_automl.inputs.base import Arrays


def run_split(split: Split, run: Callable[[Arrays], np.ndarray], batch_size: int = 64) -> np.ndarray:
    """Return the outputs, float32 ``[N, K]``, of all items of a split in their order.

    `run` maps a batch's arrays to outputs ``[B, K]``: a loaded network, or a layer in evaluation mode.
    """
    found = [run(batch.inputs) for batch in split.batches(batch_size)]
    return np.concatenate(found) if found else np.zeros((0, split.task.outputs), np.float32)
