"""Bilinear affine warps of whole batches of uint8 images, in NumPy alone."""

from __future__ import annotations

import numpy as np

from paddle_automl.data.augment.base import Fill

_ONE = 256
"""Coordinates and weights are fixed-point numbers with 8 fractional bits."""

_CHUNK = 32768
"""Pixels processed at once, so that the temporary arrays stay in the cache."""

_LANES = np.uint32(0x00FF00FF)


def warp(images: np.ndarray, matrices: np.ndarray, fill: Fill, shifts: np.ndarray | None = None) -> np.ndarray:
    """Return images whose pixel p, relative to the centre, is the input's pixel at ``matrix @ p + shift``.

    `images`: ``[B, C, H, W]`` uint8. `matrices`: ``[B, 2, 2]``, acting on (y, x). `shifts`: ``[B, 2]``, pixels
    along (y, x); none if left out. Positions between pixels
    are interpolated bilinearly; positions outside are black (``zero``) or mirrored (``reflect``).
    """
    count, _, height, width = images.shape
    result = np.empty_like(images)
    shifts = np.zeros((count, 2)) if shifts is None else shifts
    step = max(1, _CHUNK // (height * width))
    for start in range(0, count, step):
        chunk = slice(start, start + step)
        _warp_chunk(images[chunk], matrices[chunk], shifts[chunk], fill, result[chunk])
    return result


def _warp_chunk(
    images: np.ndarray, matrices: np.ndarray, shifts: np.ndarray, fill: Fill, result: np.ndarray
) -> None:
    count, channels, height, width = images.shape
    rows = _bounded(_coordinates(matrices[:, 0], shifts[:, :1], (height, width), height), height, fill)
    columns = _bounded(_coordinates(matrices[:, 1], shifts[:, 1:], (height, width), width), width, fill)
    quads = _quads(images)
    area = quads.shape[2] * quads.shape[3]
    first = (np.arange(count) * channels * area)[:, None, None]
    position = ((rows >> 8) + 1) * quads.shape[3] + ((columns >> 8) + 1) + first
    weight_y = (rows & (_ONE - 1)).astype(np.uint32)
    weight_x = (columns & (_ONE - 1)).astype(np.uint32)
    flat = quads.reshape(-1)
    for channel in range(channels):
        quad = flat.take(position + channel * area, mode="clip")
        # Two 16-bit lanes at once: the upper and the lower row, each interpolated along x.
        pair = (quad & _LANES) * (_ONE - weight_x)
        pair += ((quad >> 8) & _LANES) * weight_x
        value = (pair & 0xFFFF) * (_ONE - weight_y)
        value += (pair >> 16) * weight_y
        value += 1 << 15
        result[:, channel] = value >> 16


def _coordinates(factors: np.ndarray, shifts: np.ndarray, shape: tuple[int, int], size: int) -> np.ndarray:
    """Return one fixed-point source coordinate of each pixel, ``[B, H, W]``.

    `factors`: ``[B, 2]``; `shifts`: ``[B, 1]``; `size`: pixels of the source along the coordinate.
    """
    height, width = shape
    y = np.arange(height) - (height - 1) / 2
    x = np.arange(width) - (width - 1) / 2
    along_y = np.rint(_ONE * (factors[:, :1] * y + (size - 1) / 2 + shifts)).astype(np.intp)
    along_x = np.rint(_ONE * factors[:, 1:] * x).astype(np.intp)
    return along_y[:, :, None] + along_x[:, None, :]


def _bounded(coordinates: np.ndarray, size: int, fill: Fill) -> np.ndarray:
    if fill == "zero" or size == 1:
        # The black border of `_quads` is one pixel outside on each side.
        return np.clip(coordinates, -_ONE, size * _ONE, out=coordinates)
    last = (size - 1) * _ONE
    np.mod(coordinates, 2 * last, out=coordinates)
    return last - np.abs(coordinates - last)


def _quads(images: np.ndarray) -> np.ndarray:
    """Return for each pixel and its border the 2 x 2 pixels from there on, as the bytes of one uint32.

    From the lowest byte on: this pixel, its right neighbour, the two below. ``[B, C, H + 2, W + 2]``.
    """
    count, channels, height, width = images.shape
    padded = np.zeros((count, channels, height + 3, width + 3), dtype=np.uint32)
    padded[:, :, 1:-2, 1:-2] = images
    pairs = padded[..., :-1] | (padded[..., 1:] << 8)
    quads: np.ndarray = pairs[:, :, :-1] | (pairs[:, :, 1:] << 16)
    return quads
