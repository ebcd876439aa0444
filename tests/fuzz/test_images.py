"""Images of all formats that can be written here: damage ends in pixels or in a DataError."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from paddle_automl.core.errors import DataError
from paddle_automl.inputs.image.decoding import Decoder, look_at
from tests.fuzz.damage import MANY, SAMPLE, Growth, damaged, only_two_ends

DECODER = Decoder(12, 16, "crop", 3)
GREY = Decoder(12, 16, "pad", 1, range=(0.0, 4095.0))
SEVERAL = SAMPLE // 3
"""Cases per kind of file in the default suite: there are many kinds."""


def _picture(mode: str, seed: int = 0) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (24, 30, 4), dtype=np.uint8)
    smooth = Image.fromarray(pixels[::6, ::6].copy()).resize((30, 24))
    if mode == "I;16":
        return Image.fromarray(pixels[..., 0].astype(np.uint16) * 16)
    if mode == "F":
        return Image.fromarray(pixels[..., 0].astype(np.float32))
    return smooth.convert("RGB").convert(mode) if mode in ("P", "CMYK", "YCbCr") else smooth.convert(mode)


def _saved(mode: str, form: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    _picture(mode).save(buffer, form, **options)
    return buffer.getvalue()


def _exif() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010E] = "a picture"
    return exif.tobytes()


def _files() -> dict[str, bytes]:
    more = [_picture("RGBA", seed) for seed in (1, 2)]
    kinds: dict[str, tuple[str, str, dict[str, object]]] = {
        **{f"{mode}.png": (mode, "PNG", {}) for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")},
        "clear.png": ("P", "PNG", {"transparency": 3}),
        "animated.png": ("RGBA", "PNG", {"save_all": True, "append_images": more}),
        **{f"{mode}.jpg": (mode, "JPEG", {"exif": _exif()}) for mode in ("L", "RGB", "CMYK")},
        "progressive.jpg": ("RGB", "JPEG", {"progressive": True, "optimize": True}),
        "one.gif": ("P", "GIF", {}),
        "animated.gif": ("RGBA", "GIF", {"save_all": True, "append_images": more, "transparency": 0}),
        **{f"{mode}.bmp": (mode, "BMP", {}) for mode in ("1", "P", "RGB", "RGBA")},
        **{f"{mode}.tif": (mode, "TIFF", {}) for mode in ("1", "L", "P", "RGBA", "I;16", "F", "CMYK")},
        **{
            f"{packing}.tif": ("RGB", "TIFF", {"compression": packing, "exif": _exif()})
            for packing in ("tiff_lzw", "tiff_adobe_deflate", "jpeg", "packbits")
        },
        "pages.tif": ("RGB", "TIFF", {"save_all": True, "append_images": [_picture("RGB", 1)]}),
        "lossy.webp": ("RGBA", "WEBP", {"exif": _exif()}),
        "lossless.webp": ("RGB", "WEBP", {"lossless": True}),
        "animated.webp": ("RGBA", "WEBP", {"save_all": True, "append_images": more}),
        "a.avif": ("RGB", "AVIF", {"speed": 10}),
        "a.jp2": ("RGB", "JPEG2000", {}),
        "a.ppm": ("RGB", "PPM", {}),
        "a.tga": ("RGB", "TGA", {"rle": True}),
        "a.ico": ("RGBA", "ICO", {}),
        "bmp.ico": ("RGBA", "ICO", {"bitmap_format": "bmp"}),
        "a.dds": ("RGBA", "DDS", {}),
        "a.pcx": ("RGB", "PCX", {}),
        "a.sgi": ("RGB", "SGI", {}),
        "a.xbm": ("1", "XBM", {}),
        "a.dib": ("RGB", "DIB", {}),
    }
    Image.init()
    return {
        name: _saved(mode, form, **options) for name, (mode, form, options) in kinds.items() if form in Image.SAVE
    }


FILES = _files()
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::PIL.Image.DecompressionBombWarning")
COMMON = ("RGB.png", "I;16.png", "progressive.jpg", "animated.gif", "RGB.bmp", "tiff_lzw.tif", "lossy.webp")
"""The formats that nearly all pictures have; the others are tried with ``-m slow``."""


def flip(name: str, folder: Path, count: int) -> None:
    """Read damaged copies of a file by its path and its bytes, which end alike, and look at them."""
    file = folder / name
    file.write_bytes(FILES[name])
    assert DECODER(file).shape == DECODER.shape
    with Growth():
        for content in damaged(FILES[name], count, seed=len(name)):
            file.write_bytes(content)
            good = only_two_ends(lambda: DECODER(file), DataError)
            only_two_ends(lambda: GREY(file), DataError)
            look = look_at(file)
            assert look is not None or not good
            if file.suffix != ".tga":
                assert only_two_ends(lambda content=content: DECODER(content), DataError) == good


@pytest.mark.parametrize("name", COMMON)
def test_damaged_images(tmp_path, name):
    flip(name, tmp_path, SEVERAL)


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_many_damaged_images(tmp_path, name):
    flip(name, tmp_path, MANY)
