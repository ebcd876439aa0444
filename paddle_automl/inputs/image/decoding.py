"""From an image file, its bytes or a Pillow image to pixels of a fixed size.

All images are decoded here: training, evaluation and prediction from a bundle use the same code, so a model sees
the same pixels everywhere.
"""

from __future__ import annotations

import io
import os
import re
import struct
import subprocess
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from PIL import Image, UnidentifiedImageError

from paddle_automl.core.errors import DataError
from paddle_automl.core.files import open_regular
from paddle_automl.core.parallel import in_threads
from paddle_automl.core.paths import located, readable
from paddle_automl.inputs.base import Reader
from paddle_automl.inputs.image.clipping import watching
from paddle_automl.inputs.image.formats import formats_of, without_texts
from paddle_automl.inputs.image.modes import flat
from paddle_automl.inputs.image.resizing import Fit, Grid, Interpolation, Resizing

Source = str | Path | bytes | Image.Image

BROKEN = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    EOFError,
    OverflowError,
    RuntimeError,
    MemoryError,
    struct.error,
    zlib.error,
    subprocess.SubprocessError,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)
"""Exceptions of Pillow's readers on damaged files; they have no common class."""

MOST_BYTES = 2**30
"""Largest size of a file that is read."""
MOST_PIXELS = 178_956_970
"""Largest image that is decoded, in at most 3 GB. Pillow's own limit, which other code may have lifted."""
LARGE = 2**25
"""Images with more pixels are decoded one at a time, whatever the number of threads."""
_one_at_a_time = threading.Lock()

_SIDEWAYS = frozenset({5, 6, 7, 8})
"""Values of the EXIF orientation that swap width and height."""
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
_GREY_MODES = ("1", "L", "LA", "La", "I", "F")


@dataclass(frozen=True)
class Decoder(Reader):
    """Decodes images to ``[channels, height, width]`` uint8.

    `fit` says how another aspect ratio is treated: ``crop`` resizes the short side and cuts the centre out, ``pad``
    resizes the long side and fills up with black, ``stretch`` resizes both sides. EXIF rotation is applied,
    transparent pixels are blended with white, and an animation gives its first frame. Grey values deeper than 8
    bits are scaled: `range` (lowest, highest) becomes 0 to 255, and values outside of it black or white; None means
    16 bits, beyond which values are refused. `sampled` says that only a sample of the files was looked at for the
    range. `seen` is called with the largest value of a deep image.

    `grid` says where the pixels of a cut centre lie: ``whole`` gives those of the resized whole image, as PaddleX
    and PaddleClas do, ``box`` resizes the exact centre, as bundles before version 0.2 do.
    """

    version: ClassVar[int] = 3

    height: int
    width: int
    fit: Fit
    channels: int
    range: tuple[float, float] | None = None
    interpolation: Interpolation = "bilinear"
    grid: Grid = "whole"
    sampled: bool = field(default=False, repr=False, compare=False)
    seen: Callable[[int], None] | None = field(default=None, repr=False, compare=False)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Return (channels, height, width)."""
        return self.channels, self.height, self.width

    @property
    def _resizing(self) -> Resizing:
        return Resizing(self.width, self.height, self.fit, self.interpolation, self.grid)

    def __call__(self, source: Source) -> np.ndarray:
        """Return the pixels, ``[C, H, W]`` uint8; raises DataError with the file's name and the reason."""
        try:
            if isinstance(source, Image.Image):
                return self._pixels(source)
            raw = _bytes_of(source)
            try:
                return self._decoded(raw, source)
            except ValueError:
                # Texts and profiles beyond Pillow's limits do not concern the pixels.
                plain = without_texts(raw)
                if plain is None:
                    raise
                return self._decoded(plain, source)
        except BROKEN as error:
            raise DataError(f"{_described(source)}: {_reason(error)}") from None

    def watched(self) -> tuple[Callable[[Any], np.ndarray], Callable[[], str]]:
        """Return functions that decode and that say what became white, where a range fits a sample of the files."""
        return watching(self) if self.sampled and self.range is not None else super().watched()

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

    def _decoded(self, raw: bytes, source: Source) -> np.ndarray:
        with _open(raw, source) as image, _turn(image):
            size = image.size
            # JPEG is decoded at a half, a quarter or an eighth of its size if that suffices.
            longest = (4 if self.grid == "whole" else 2) * max(self.height, self.width)
            image.draft(None, (longest, longest))
            return self._pixels(image, size)

    def _pixels(self, image: Image.Image, size: tuple[int, int] | None = None) -> np.ndarray:
        """Return the pixels of an image; `size` is its width and height in the file."""
        # Pillow reports damaged pixels only once; the next call returns what was read so far as the image.
        image.load()
        if self.seen is not None and image.mode.startswith("I"):
            self.seen(int(np.asarray(image).max()))
        resized = self._resizing(flat(_upright(image), self.channels, self.range), _turned(image, size))
        array = np.asarray(resized, dtype=np.uint8)
        return np.ascontiguousarray(array[None] if array.ndim == 2 else array.transpose(2, 0, 1))


@dataclass(frozen=True)
class Look:
    """Facts about an image file that are known before it is decoded to a size.

    `grey`: whether it is stored as grey values; `deepest`: the least and the largest value of a grey image of more
    than 8 bits, None for others; `size`: height and width, turned upright.
    """

    grey: bool
    deepest: tuple[int, int] | None
    size: tuple[int, int]


def look_at(source: str | Path) -> Look | None:
    """Return the facts about an image file; None if it cannot be read."""
    try:
        raw = _bytes_of(source)
        try:
            return _look(raw, source)
        except ValueError:
            plain = without_texts(raw)
            return None if plain is None else _look(plain, source)
    except BROKEN:
        return None


def pixels_of(source: Source) -> int:
    """Return the number of pixels of an image by its header; raises DataError for what is not an image."""
    if isinstance(source, Image.Image):
        return source.width * source.height
    try:
        raw = _bytes_of(source)
        try:
            return _area(raw, source)
        except ValueError:
            plain = without_texts(raw)
            if plain is None:
                raise
            return _area(plain, source)
    except BROKEN as error:
        raise DataError(f"{_described(source)}: {_reason(error)}") from None


def _area(raw: bytes, source: Source) -> int:
    with _open(raw, source) as image:
        return image.width * image.height


def _look(raw: bytes, source: str | Path) -> Look:
    with _open(raw, source) as image, _turn(image):
        grey, deepest = image.mode in _GREY_MODES, None
        if image.mode.startswith("I"):
            values = np.asarray(image)
            grey, deepest = True, (int(values.min()), int(values.max()))
        elif image.mode == "P":
            # To RGB alone, Pillow warns of transparent colors.
            pixels = np.asarray(image.convert("RGBA"))[..., :3]
            grey = bool((pixels == pixels[..., :1]).all())
        if image.format == "TIFF" and _orientation(image) in _SIDEWAYS:
            # Pillow gives such a file its upright size at once, and no orientation after reading.
            image.load()
        # After the pixels: Pillow may read them for the EXIF data, and tells of damage only the first time.
        width, height = _turned(image)
        return Look(grey, deepest, (height, width))


def _bytes_of(source: str | Path | bytes) -> bytes:
    if isinstance(source, bytes):
        raw = source
    elif not isinstance(source, str | os.PathLike):
        raise TypeError(f"must be a path, bytes or a Pillow image, got {type(source).__name__}")
    else:
        with open_regular(located(source)) as file:
            size = os.fstat(file.fileno()).st_size
            if size > MOST_BYTES:
                raise ValueError(
                    f"the file has {size / 1e9:.1f} GB, more than the {MOST_BYTES / 1e9:.1f} GB allowed"
                )
            raw = file.read(MOST_BYTES)
    if not raw:
        raise ValueError("the file is empty (0 bytes)")
    return raw


def _open(raw: bytes, source: Source) -> Image.Image:
    try:
        image = Image.open(io.BytesIO(raw), formats=formats_of(source if isinstance(source, str | Path) else None))
        count = image.width * image.height
    except Image.DecompressionBombError as error:
        # Pillow's message is about an attack; it names the number of pixels first.
        found = re.search(r"\d+", str(error))
        count = int(found[0]) if found else MOST_PIXELS + 1
    if count > MOST_PIXELS:
        raise ValueError(f"has {count:,} pixels, more than the {MOST_PIXELS:,} allowed")
    return image


@contextmanager
def _turn(image: Image.Image) -> Iterator[None]:
    """Let only one thread at a time decode large images."""
    if image.width * image.height <= LARGE:
        yield
        return
    with _one_at_a_time:
        yield


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except BROKEN:
        # Damaged EXIF data do not concern the pixels, which are read next and checked by themselves.
        return 1


def _turned(image: Image.Image, size: tuple[int, int] | None = None) -> tuple[int, int]:
    """Return width and height of the upright image; `size` is that of the file, if it was decoded at another."""
    width, height = size or image.size
    return (height, width) if _orientation(image) in _SIDEWAYS else (width, height)


def _upright(image: Image.Image) -> Image.Image:
    turn = _TURNS.get(_orientation(image))
    return image if turn is None else image.transpose(turn)


def _described(source: Source) -> str:
    return readable(os.fspath(source)) if isinstance(source, str | os.PathLike) else "image"


def _reason(error: BaseException) -> str:
    if isinstance(error, FileNotFoundError):
        return "the file does not exist"
    if isinstance(error, UnidentifiedImageError):
        return "is not an image in a known format, or is damaged"
    if isinstance(error, OSError) and error.strerror:
        special = error.strerror.startswith("is no")
        return error.strerror if special else f"cannot be read: {error.strerror}"
    if isinstance(error, MemoryError):
        return "cannot be decoded: it needs more memory than available"
    text = str(error) or type(error).__name__
    return text if text.startswith(("the file", "has ")) else f"cannot be decoded: {text}"
