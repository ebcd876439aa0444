"""The fourteen operations of RandAugment and its relatives, on whole batches of uint8 images ``[B, C, H, W]``.

Each image has its own operation and strength. Operations of a kind run together: all shifts, rotations and shears
are one warp, all changes of brightness one table. Formulas are those of Pillow, which the papers used.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from paddle_automl.data.augment._pixels import grey, grey_means, looked_up
from paddle_automl.data.augment.base import Fill
from paddle_automl.data.warp import warp

GEOMETRIC = ("rotate", "shear_x", "shear_y", "translate_x", "translate_y")
TABLES = ("autocontrast", "equalize", "solarize", "posterize", "contrast", "brightness")
BLENDS = ("color", "sharpness")
ALL = ("identity", *GEOMETRIC, *TABLES, *BLENDS)


class Ranges(NamedTuple):
    """The meaning of strength 1."""

    degrees: float
    """Angle of a rotation."""
    shear: float
    """Slope of a shear."""
    shift: float
    """Shift, as a fraction of the image's side."""
    change: float
    """Relative change of brightness, contrast, color and sharpness."""
    bits: int
    """Number of the 8 bits that posterize removes."""


STANDARD = Ranges(degrees=30.0, shear=0.3, shift=150 / 331, change=0.9, bits=4)
"""Ranges of AutoAugment (Cubuk et al. 2019, arXiv:1805.09501, table 6)."""
WIDE = Ranges(degrees=135.0, shear=0.99, shift=1.0, change=0.99, bits=6)
"""Ranges of TrivialAugment (Müller and Hutter 2021, arXiv:2103.10158, table 9), with shifts of the whole side."""


def apply(
    images: np.ndarray, names: Sequence[str], strengths: np.ndarray, *, ranges: Ranges, fill: Fill
) -> np.ndarray:
    """Return the images, each changed by its operation; `strengths` ``[B]`` from -1 to 1.

    A negative strength rotates, shifts or shears the other way, and darkens, greys or blurs; operations with only
    one direction use its magnitude.
    """
    kinds = np.array(names)
    result = images.copy()
    for group, change in ((GEOMETRIC, _warped), (TABLES, _tabled), (BLENDS, _blended)):
        rows = np.flatnonzero(np.isin(kinds, group))
        if len(rows):
            result[rows] = change(images[rows], kinds[rows], strengths[rows], ranges, fill)
    return result


def _warped(images: np.ndarray, kinds: np.ndarray, strengths: np.ndarray, ranges: Ranges, fill: Fill) -> np.ndarray:
    count, (height, width) = len(images), images.shape[2:]
    angles = np.deg2rad(ranges.degrees * strengths) * (kinds == "rotate")
    cosine, sine = np.cos(angles), np.sin(angles)
    matrices = np.stack([cosine, sine, -sine, cosine], axis=1).reshape(count, 2, 2)
    matrices[:, 1, 0] += ranges.shear * strengths * (kinds == "shear_x")
    matrices[:, 0, 1] += ranges.shear * strengths * (kinds == "shear_y")
    shifts = np.stack([kinds == "translate_y", kinds == "translate_x"], axis=1) * [height, width]
    return warp(images, matrices, fill, shifts * (ranges.shift * strengths)[:, None])


def _tabled(images: np.ndarray, kinds: np.ndarray, strengths: np.ndarray, ranges: Ranges, fill: Fill) -> np.ndarray:
    del fill
    levels = np.arange(256)
    tables = np.empty((len(images), images.shape[1], 256), dtype=np.uint8)
    sizes = np.abs(strengths)[:, None, None]
    factors = 1 + ranges.change * strengths[:, None, None]
    for kind in TABLES:
        rows = np.flatnonzero(kinds == kind)
        if not len(rows):
            continue
        size, factor = sizes[rows], factors[rows]
        if kind == "brightness":
            tables[rows] = np.clip(factor * levels, 0, 255)
        elif kind == "contrast":
            means = np.floor(grey_means(images[rows]) + 0.5)[:, None, None]
            tables[rows] = np.clip(means + factor * (levels - means), 0, 255)
        elif kind == "solarize":
            # As in the papers the threshold falls from 256: strength 0 leaves white alone.
            tables[rows] = np.where(levels < np.floor(256 * (1 - size)), levels, 255 - levels)
        elif kind == "posterize":
            dropped = np.rint(ranges.bits * size).astype(np.int64)
            tables[rows] = levels >> dropped << dropped
        elif kind == "autocontrast":
            tables[rows] = _full_range(images[rows])
        else:
            tables[rows] = _equal_counts(images[rows])
    return looked_up(images, tables)


def _full_range(images: np.ndarray) -> np.ndarray:
    """Return the tables ``[B, C, 256]`` that stretch each channel from black to white."""
    low = images.min(axis=(2, 3)).astype(np.float64)[:, :, None]
    high = images.max(axis=(2, 3)).astype(np.float64)[:, :, None]
    levels = np.arange(256.0)
    scale = 255 / np.maximum(high - low, 1)
    return np.asarray(np.where(high > low, np.clip(np.trunc(levels * scale - low * scale), 0, 255), levels))


def _equal_counts(images: np.ndarray) -> np.ndarray:
    """Return the tables ``[B, C, 256]`` after which all levels are about equally frequent in each channel."""
    count, channels = images.shape[:2]
    starts = 256 * np.arange(count * channels).reshape(count, channels, 1, 1)
    counts = np.bincount((images + starts).reshape(-1), minlength=256 * count * channels)
    counts = counts.reshape(count, channels, 256)
    highest = images.max(axis=(2, 3))[:, :, None]
    step = (counts.sum(axis=2, keepdims=True) - np.take_along_axis(counts, highest.astype(np.intp), axis=2)) // 255
    below = np.cumsum(counts, axis=2) - counts
    equal = np.minimum((step // 2 + below) // np.maximum(step, 1), 255)
    return np.where(step > 0, equal, np.arange(256))


def _blended(
    images: np.ndarray, kinds: np.ndarray, strengths: np.ndarray, ranges: Ranges, fill: Fill
) -> np.ndarray:
    del fill
    result = images.copy()
    factors = (1 + ranges.change * strengths).astype(np.float32)[:, None, None, None]
    rows = np.flatnonzero(kinds == "color")
    if len(rows) and images.shape[1] == 3:
        result[rows] = _away_from(np.rint(grey(images[rows])), images[rows], factors[rows])
    rows = np.flatnonzero(kinds == "sharpness")
    if len(rows) and min(images.shape[2:]) > 2:
        inner = images[rows][:, :, 1:-1, 1:-1]
        result[rows, :, 1:-1, 1:-1] = _away_from(_smooth(images[rows]), inner, factors[rows])
    return result


def _away_from(other: np.ndarray, images: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """Return other + factor (image - other), cut at 0 and 255."""
    values = (images - other) * factors
    values += other
    return np.asarray(np.clip(values, 0, 255, out=values).astype(np.uint8))


def _smooth(images: np.ndarray) -> np.ndarray:
    """Return the mean of 3 x 3 pixels, the middle one five times, without the border: Pillow's SMOOTH."""
    values = images.astype(np.float32)
    rows = values[:, :, :-2] + values[:, :, 1:-1] + values[:, :, 2:]
    total = rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:]
    total += 4 * values[:, :, 1:-1, 1:-1]
    total /= 13
    return np.rint(total)
