"""Changes of brightness and color of whole batches of uint8 images ``[B, C, H, W]``, in NumPy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)
"""Weights of red, green and blue in the grey value, ITU-R BT.601."""


def rounded(values: np.ndarray) -> np.ndarray:
    """Return float values as the nearest uint8, clipped to 0..255; `values` are overwritten."""
    values += 0.5
    return np.clip(values, 0, 255, out=values).astype(np.uint8)


def grey_means(images: np.ndarray) -> np.ndarray:
    """Return the mean grey value of each image, float32 ``[B]``; without three channels the mean of all."""
    count, channels, height, width = images.shape
    sums = images.reshape(count, channels, -1).sum(axis=2, dtype=np.uint64)
    means = (sums / (height * width)).astype(np.float32)
    weighed: np.ndarray = means @ LUMA if channels == len(LUMA) else means.mean(axis=1)
    return weighed


def grey(images: np.ndarray) -> np.ndarray:
    """Return the grey values of images with three channels, float32 ``[B, 1, H, W]``."""
    values = images[:, :1] * LUMA[0]
    values += images[:, 1:2] * LUMA[1]
    values += images[:, 2:] * LUMA[2]
    return values


def stretched(images: np.ndarray, factors: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Return factor x + offset for each image; both ``[B]``."""
    values = images * factors.astype(np.float32)[:, None, None, None]
    values += offsets.astype(np.float32)[:, None, None, None]
    return rounded(values)


def looked_up(images: np.ndarray, tables: np.ndarray) -> np.ndarray:
    """Return each pixel's entry in its channel's table; `tables`: uint8 ``[B, C, 256]``."""
    count, channels = images.shape[:2]
    starts = 256 * np.arange(count * channels, dtype=np.intp).reshape(count, channels, 1, 1)
    result: np.ndarray = np.ascontiguousarray(tables).reshape(-1).take(images + starts)
    return result


def changed(images: np.ndarray, chosen: np.ndarray, change: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Return the images, with those for which `chosen` ``[B]`` is True changed by `change`."""
    if chosen.all():
        return change(images)
    result = images.copy()
    if chosen.any():
        result[chosen] = change(images[chosen])
    return result


def blocks(
    shape: tuple[int, ...], top: np.ndarray, left: np.ndarray, height: np.ndarray, width: np.ndarray
) -> np.ndarray:
    """Return masks ``[B, 1, H, W]`` that are True in one rectangle per image, clipped at the border."""
    rows, columns = np.arange(shape[2]), np.arange(shape[3])
    inside_y = (rows >= top[:, None]) & (rows < (top + height)[:, None])
    inside_x = (columns >= left[:, None]) & (columns < (left + width)[:, None])
    mask: np.ndarray = inside_y[:, None, :, None] & inside_x[:, None, None, :]
    return mask
