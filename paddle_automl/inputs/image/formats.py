"""The image formats that are read: raster formats that Pillow decodes itself, and their suffixes."""

from __future__ import annotations

import os
import struct
from functools import lru_cache
from pathlib import Path

from PIL import Image

_FORMATS = (
    *("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "DIB", "AVIF", "JPEG2000", "QOI"),
    *("PSD", "SGI", "PCX", "SUN", "ICO", "DDS", "XPM", "XBM"),
)
"""Others are left out on purpose: EPS and PDF run programs, WMF needs Windows, HDF5 and GRIB are stubs in
Pillow."""

_BY_SUFFIX = "TGA"
"""A format without a signature in the file, which is recognised by the suffix alone."""

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_TEXTS = (b"tEXt", b"zTXt", b"iTXt", b"iCCP")


@lru_cache(maxsize=1)
def image_suffixes() -> frozenset[str]:
    """Return the suffixes, in lower case, of all formats that this Pillow reads."""
    wanted = {*_known(), *_known(_BY_SUFFIX), "MPO"}
    return frozenset(suffix for suffix, name in Image.registered_extensions().items() if name in wanted)


def formats_of(path: str | Path | None) -> tuple[str, ...]:
    """Return the formats for ``Image.open`` of a file with this name (None: bytes without a name).

    The content decides, not the suffix; only a format without a signature needs the suffix.
    """
    suffix = "" if path is None else os.path.splitext(path)[1].lower()
    return _known() + _known(_BY_SUFFIX) if suffix in _tga_suffixes() else _known()


def without_texts(raw: bytes) -> bytes | None:
    """Return a PNG file without its texts and its color profile, or None if it has neither."""
    if not raw.startswith(_SIGNATURE):
        return None
    kept, position, found = [_SIGNATURE], len(_SIGNATURE), False
    while position + 12 <= len(raw):
        (length,) = struct.unpack_from(">I", raw, position)
        end = position + 12 + length
        if raw[position + 4 : position + 8] in _TEXTS:
            found = True
        else:
            kept.append(raw[position:end])
        position = end
    return b"".join(kept) if found else None


@lru_cache(maxsize=4)
def _known(*names: str) -> tuple[str, ...]:
    Image.init()
    return tuple(name for name in names or _FORMATS if name in Image.OPEN)


@lru_cache(maxsize=1)
def _tga_suffixes() -> frozenset[str]:
    Image.init()
    return frozenset(suffix for suffix, name in Image.registered_extensions().items() if name == _BY_SUFFIX)
