"""Smaller copies of whole batches of images, in NumPy alone."""

from __future__ import annotations

from functools import lru_cache

import numpy as np


def shrink(images: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return float32 images ``[B, C, H, W]`` at `size` (height, width), as ``[B, C, h, w]``.

    Each new pixel is the mean of the area it covers, so the mean of an image does not change. `size` must not be
    larger than the images.
    """
    count, channels, height, width = images.shape
    if size == (height, width):
        return images
    if size[0] > height or size[1] > width:
        raise ValueError(f"size must be at most {height} x {width}, got {size[0]} x {size[1]}")
    narrow = images.reshape(-1, width) @ _areas(width, size[1]).T
    result: np.ndarray = _areas(height, size[0]) @ narrow.reshape(count, channels, height, size[1])
    return result


@lru_cache(maxsize=64)
def _areas(old: int, new: int) -> np.ndarray:
    """Return the weight of each old pixel in each new one, ``[new, old]``; rows sum to 1."""
    edges = np.arange(new + 1) * (old / new)
    pixels = np.arange(old)
    overlap = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    return np.ascontiguousarray(np.maximum(overlap, 0) * (new / old), dtype=np.float32)
