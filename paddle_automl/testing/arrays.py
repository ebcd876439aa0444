"""Comparing items of any kind: arrays of numbers, texts, arrays of different lengths."""

from __future__ import annotations

from typing import Any

import numpy as np


def same(first: Any, second: Any) -> bool:
    """Return whether two items, or two arrays of items ``[N, ...]``, have the same type, shape and values.

    NaN equals NaN.
    """
    if not isinstance(first, np.ndarray) or not isinstance(second, np.ndarray):
        return type(first) is type(second) and bool(first == second)
    if first.shape != second.shape or first.dtype != second.dtype:
        return False
    if first.dtype.hasobject:
        return all(same(one, other) for one, other in zip(first.ravel(), second.ravel(), strict=True))
    return np.array_equal(first, second, equal_nan=first.dtype.kind in "fc")


def fits(shape: tuple[int, ...], expected: tuple[int | None, ...]) -> bool:
    """Return whether a shape is the expected one; None in `expected` means any length."""
    return len(shape) == len(expected) and all(
        need is None or size == need for size, need in zip(shape, expected, strict=True)
    )
