"""From an image file, its bytes or a Pillow image to pixels of a fixed size.

The one place where images are decoded: training, evaluation and prediction from a bundle all come here,
so a model sees the same pixels everywhere.
"""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from PIL import Image, UnidentifiedImageError

from paddle_automl.core.errors import DataError
from paddle_automl.core.parallel import in_threads
from paddle_automl.core.paths import located, readable
from paddle_automl.inputs.base import Reader

Fit = Literal["crop", "pad", "stretch"]
Source = str | Path | bytes | Image.Image

_BROKEN = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    EOFError,
    OverflowError,
    NotImplementedError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)
"""What Pillow's readers raise on damaged files; they have no common class."""

_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_ALPHA_MODES = ("LA", "La", "PA", "RGBA", "RGBa")
_GREY_MODES = ("1", "L", "LA", "La", "I", "F")


@dataclass(frozen=True)
class Decoder(Reader):
    """Decodes images to ``[channels, height, width]`` uint8.

    `fit` says how another shape is met: ``crop`` resizes the short side and cuts the centre, ``pad`` resizes
    the long side and puts black around, ``stretch`` resizes both sides. EXIF rotation is applied,
    transparency is laid over white, 16-bit grey is reduced to 8 bits, and an animation gives its first frame.
    """

    version: ClassVar[int] = 1

    height: int
    width: int
    fit: Fit
    channels: int

    @property
    def shape(self) -> tuple[int, int, int]:
        """Return (channels, height, width)."""
        return self.channels, self.height, self.width

    def __call__(self, source: Source) -> np.ndarray:
        """Return the pixels, ``[C, H, W]`` uint8; raises DataError with the file's name and the reason."""
        try:
            if isinstance(source, Image.Image):
                return self._pixels(source)
            with Image.open(_opened(source)) as image:
                # JPEG decodes at a half, a quarter or an eighth of the size where that still suffices.
                longest = 2 * max(self.height, self.width)
                image.draft(None, (longest, longest))
                return self._pixels(image)
        except _BROKEN as error:
            raise DataError(f"{_described(source)}: {_reason(error)}") from None

    def empty(self, count: int) -> np.ndarray:
        """Return black images, ``[count, C, H, W]`` uint8."""
        return np.zeros((count, *self.shape), dtype=np.uint8)

    def convert(self, items: np.ndarray) -> np.ndarray:
        """Return arrays ``[N, H, W, C]`` uint8 as ``[N, C, h, w]`` of this size and these channels."""
        if items.shape[1:] == (self.height, self.width, self.channels):
            return np.ascontiguousarray(items.transpose(0, 3, 1, 2))
        result = self.empty(len(items))

        def convert(row: int) -> None:
            pixels = items[row]
            result[row] = self(Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels))

        in_threads(convert, range(len(items)))
        return result

    def _pixels(self, image: Image.Image) -> np.ndarray:
        resized = self._resized(_flat(_upright(image), self.channels))
        array = np.asarray(resized, dtype=np.uint8)
        return np.ascontiguousarray(array[None] if array.ndim == 2 else array.transpose(2, 0, 1))

    def _resized(self, image: Image.Image) -> Image.Image:
        if image.size == (self.width, self.height):
            return image
        if self.fit == "pad":
            ratio = min(self.width / image.width, self.height / image.height)
            width = min(self.width, max(1, round(image.width * ratio)))
            height = min(self.height, max(1, round(image.height * ratio)))
            canvas = Image.new(image.mode, (self.width, self.height))
            inner = _resize(image, width, height, (0, 0, image.width, image.height))
            canvas.paste(inner, ((self.width - width) // 2, (self.height - height) // 2))
            return canvas
        box = (0.0, 0.0, float(image.width), float(image.height))
        if self.fit == "crop":
            ratio = max(self.width / image.width, self.height / image.height)
            left = max(0.0, (image.width - self.width / ratio) / 2)
            top = max(0.0, (image.height - self.height / ratio) / 2)
            box = (left, top, image.width - left, image.height - top)
        return _resize(image, self.width, self.height, box)


def is_grey(source: str | Path) -> bool:
    """Return whether an image file is stored as grey values; False for a file that cannot be opened."""
    try:
        with Image.open(_opened(source)) as image:
            if image.mode != "P":
                return image.mode.startswith("I;16") or image.mode in _GREY_MODES
            pixels = np.asarray(image.convert("RGB"))
            return bool((pixels == pixels[..., :1]).all())
    except _BROKEN:
        return False


def _resize(image: Image.Image, width: int, height: int, box: tuple[float, float, float, float]) -> Image.Image:
    return image.resize((width, height), Image.Resampling.BILINEAR, box=box, reducing_gap=3.0)


def _opened(source: str | Path | bytes) -> io.BytesIO:
    raw = source if isinstance(source, bytes) else located(source).read_bytes()
    if not raw:
        raise ValueError("the file is empty (0 bytes)")
    return io.BytesIO(raw)


def _upright(image: Image.Image) -> Image.Image:
    try:
        turn = _TURNS.get(image.getexif().get(_ORIENTATION, 1))
    except _BROKEN:
        # Damaged EXIF says nothing about the pixels, which are read next and checked on their own.
        turn = None
    return image if turn is None else image.transpose(turn)


def _flat(image: Image.Image, channels: int) -> Image.Image:
    """Return the image in mode L or RGB, without alpha and with 8 bits."""
    if image.mode.startswith("I"):
        image = _eight_bits(image)
    elif image.mode == "F":
        raise ValueError("32-bit float pixels have no stated range; save the image with 8 or 16 bits")
    if image.mode in _ALPHA_MODES or "transparency" in image.info:
        layer = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
    return image.convert("L" if channels == 1 else "RGB")


def _eight_bits(image: Image.Image) -> Image.Image:
    values = np.asarray(image).astype(np.int64)
    if values.min() < 0 or values.max() > 65535:
        raise ValueError("32-bit integer pixels beyond 16 bits; save the image with 8 or 16 bits")
    return Image.fromarray(((values * 255 + 32767) // 65535).astype(np.uint8))


def _described(source: Source) -> str:
    return "image" if isinstance(source, bytes | Image.Image) else readable(source)


def _reason(error: BaseException) -> str:
    if isinstance(error, FileNotFoundError):
        return "the file does not exist"
    if isinstance(error, UnidentifiedImageError):
        return "is no image in a known format, or is damaged"
    if isinstance(error, OSError) and error.strerror:
        return f"cannot be read: {error.strerror}"
    text = str(error) or type(error).__name__
    return text if text.startswith("the file") else f"cannot be decoded: {text}"
