"""Images that are given as NumPy arrays."""

from __future__ import annotations

import numpy as np
from PIL import Image

from paddle_automl.core.errors import DataError

CHANNELS = (1, 3, 4)
"""Grey, RGB, RGB with transparency."""


def image_of(array: np.ndarray) -> Image.Image:
    """Return the Pillow image of pixels uint8 ``[H, W]`` or ``[H, W, C]`` with C in 1, 3 (RGB), 4 (RGBA).

    Raises DataError for another shape or type.
    """
    if array.dtype != np.uint8:
        raise DataError(
            f"image: an array must be uint8 with values from 0 to 255, got {array.dtype}; convert it, such as by "
            "(255 * array).astype('uint8') for values from 0 to 1"
        )
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] in CHANNELS)) or not array.size:
        raise DataError(f"image: an array must be [height, width] or [height, width, 3], got {list(array.shape)}")
    return Image.fromarray(np.ascontiguousarray(array))
