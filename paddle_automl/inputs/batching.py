"""How much is in a batch at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from paddle_automl.inputs.base import Arrays, Input

MOST_NUMBERS = 4_000_000
"""Most numbers in a batch of inputs: with more, the memory of the activations costs more time than the network."""


def too_large(given: Input, arrays: Arrays) -> bool:
    """Return whether a batch of items of different lengths has more numbers than fit: it has a long one."""
    is_open = any(None in spec.shape for spec in given.specs)
    return is_open and sum(array.size for array in arrays.values()) > MOST_NUMBERS


def divided(batches: Sequence[np.ndarray], lengths: np.ndarray, most: int) -> list[np.ndarray]:
    """Return the same positions in the same order, in batches with at most `most` numbers, padding included.

    `lengths`, ``[A, n]``, has the length of each item in each array. An item with more is alone.
    """
    found: list[np.ndarray] = []
    for batch in batches:
        left = batch
        while len(left):
            longest = np.maximum.accumulate(lengths[:, left], axis=1).sum(axis=0)
            count = int(np.searchsorted(longest * np.arange(1, len(left) + 1), most, side="right"))
            found.append(left[: max(count, 1)])
            left = left[max(count, 1) :]
    return found
