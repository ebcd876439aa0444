"""From images of any mode to 8 bits, grey or RGB, without alpha."""

from __future__ import annotations

import numpy as np
from PIL import Image

DEEP = 65535
"""Largest value of a 16-bit pixel."""
_CHUNK = 2**20
"""Pixels that are converted at once."""
_ALPHA_MODES = ("LA", "PA", "RGBA", "RGBa")
_BETWEEN = {"La": "LA", "LAB": "RGB"}
"""Modes that Pillow converts to RGBA or to L by another one only."""


def flat(image: Image.Image, channels: int, deep: tuple[float, float] | None) -> Image.Image:
    """Return the image in mode L or RGB, without alpha and with 8 bits."""
    if image.mode == "F" and deep is None:
        raise ValueError(
            "32-bit float pixels have no known range; set data.input.range: [lowest, highest], "
            "or save the image with 8 or 16 bits"
        )
    if image.mode == "F" or image.mode.startswith("I"):
        image = _eight_bits(image, deep)
    if image.mode in _BETWEEN:
        image = image.convert(_BETWEEN[image.mode])
    if image.mode in _ALPHA_MODES or "transparency" in image.info:
        layer = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
    return image.convert("L" if channels == 1 else "RGB")


def _eight_bits(image: Image.Image, deep: tuple[float, float] | None) -> Image.Image:
    values = np.asarray(image)
    if deep is None and (values.min() < 0 or values.max() > DEEP):
        raise ValueError(
            "32-bit integer pixels beyond 16 bits; set data.input.range: [lowest, highest], "
            "or save the image with 8 or 16 bits"
        )
    result = np.empty(values.shape, dtype=np.uint8)
    rows = max(1, _CHUNK // values.shape[1])
    for start in range(0, len(values), rows):
        part = values[start : start + rows]
        if deep is None:
            result[start : start + rows] = (part.astype(np.int64) * 255 + DEEP // 2) // DEEP
        else:
            low, high = deep
            scaled = (np.clip(np.nan_to_num(part.astype(np.float64)), low, high) - low) * (255 / (high - low))
            result[start : start + rows] = np.rint(scaled)
    return Image.fromarray(result)
