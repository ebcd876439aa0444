"""Image files of every mode and shape become pixels of one size."""

import io
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from paddle_automl.core.errors import DataError
from paddle_automl.inputs.image import decoding
from paddle_automl.inputs.image.decoding import Decoder, look_at
from tests.unit.data import pictures
from tests.unit.data.pictures import BLUE, GREEN, RED, WHITE


def decoder(size=(8, 8), fit="crop", channels=3):
    return Decoder(size[0], size[1], fit, channels)


def color(pixels):
    """Return the one color of uint8 ``[C, H, W]`` pixels."""
    first = pixels[:, 0, 0]
    assert (pixels == first[:, None, None]).all()
    return tuple(int(value) for value in first)


def test_modes_of_one_color(tmp_path):
    files = {
        "rgb.png": (pictures.plain(RED), RED),
        "grey.png": (Image.new("L", (9, 7), 77), (77, 77, 77)),
        "bit.png": (Image.new("1", (9, 7), 1), WHITE),
        "palette.png": (pictures.plain(GREEN).convert("P", palette=Image.Palette.ADAPTIVE), GREEN),
        "palette.gif": (pictures.plain(BLUE).convert("P", palette=Image.Palette.ADAPTIVE), BLUE),
        "opaque.png": (Image.new("RGBA", (9, 7), (*BLUE, 255)), BLUE),
        "clear.png": (Image.new("RGBA", (9, 7), (*BLUE, 0)), WHITE),
        "half.png": (Image.new("RGBA", (9, 7), (0, 0, 0, 51)), (204, 204, 204)),
        "grey alpha.png": (Image.new("LA", (9, 7), (0, 0)), WHITE),
        "图.webp": (Image.new("RGBA", (9, 7), (0, 0, 0, 0)), WHITE),
        "cmyk.tif": (Image.new("CMYK", (9, 7), (0, 255, 255, 0)), RED),
        "sixteen.png": (Image.fromarray(np.full((7, 9), 256 * 100 + 100, np.uint16)), (100, 100, 100)),
        "sixteen.tif": (Image.fromarray(np.full((7, 9), 65535, np.uint16)), WHITE),
    }
    for name, (image, expected) in files.items():
        path = pictures.save(image, tmp_path / name)
        assert color(decoder()(path)) == expected, name


def test_colors_of_a_print_are_read_as_grey(tmp_path):
    path = pictures.save(Image.new("LAB", (9, 7), (150, 150, 100)), tmp_path / "lab.tif")
    (grey,) = color(decoder(channels=1)(path))
    red, green, blue = color(decoder()(path))
    assert len({red, green, blue}) == 3
    assert grey == Image.new("RGB", (1, 1), (red, green, blue)).convert("L").getpixel((0, 0))


def test_transparent_palette_entry_is_laid_over_white(tmp_path):
    image = pictures.plain(RED).convert("P", palette=Image.Palette.ADAPTIVE)
    index = image.getpixel((0, 0))
    path = pictures.save(image, tmp_path / "cut out.png", transparency=index)
    assert color(decoder()(path)) == WHITE


def test_cmyk_jpeg(tmp_path):
    path = pictures.save(Image.new("CMYK", (64, 64), (0, 255, 255, 0)), tmp_path / "print.jpg", quality=95)
    red, green, blue = decoder()(path)[:, 4, 4]
    assert red > 240
    assert green < 15
    assert blue < 15


def test_grey_output_uses_luma(tmp_path):
    path = pictures.save(pictures.plain(GREEN), tmp_path / "a.png")
    pixels = decoder(channels=1)(path)
    assert pixels.shape == (1, 8, 8)
    assert color(pixels) == (150,)  # ITU-R 601: 0.587 * 255 = 149.7


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(tmp_path, orientation):
    upright = np.array([[10, 20, 30], [40, 50, 60]], dtype=np.uint8)
    # How a camera stores the upright picture under each value of the EXIF tag.
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.T,
        6: np.rot90(upright),
        7: upright[::-1, ::-1].T,
        8: np.rot90(upright, -1),
    }[orientation]
    image = Image.fromarray(np.ascontiguousarray(stored))
    exif = Image.Exif()
    exif[0x0112] = orientation
    for name in ("turned.png", "turned.tif"):
        path = pictures.save(image, tmp_path / name, exif=exif)
        assert look_at(path).size == (2, 3), name
        assert (decoder((2, 3), channels=1)(path)[0] == upright).all(), name


def test_transparent_colors_are_looked_at_without_a_warning(tmp_path, recwarn):
    image = Image.fromarray(np.arange(256, dtype=np.uint8).reshape(8, 8, 4)).quantize(16)
    assert not look_at(pictures.save(image, tmp_path / "a.png")).grey
    assert not recwarn.list


def test_an_image_with_premultiplied_alpha():
    assert color(decoder()(Image.new("LA", (9, 7), (0, 51)).convert("La"))) == (204, 204, 204)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_damaged_exif_does_not_matter(tmp_path):
    path = pictures.save(pictures.plain(RED), tmp_path / "a.png", exif=b"Exif\0\0MM\0*\0\0\xff\xff broken")
    assert color(decoder()(path)) == RED


def test_crop_keeps_the_centre():
    image = pictures.halves(RED, BLUE, (40, 10))
    image.paste(GREEN, (15, 0, 25, 10))
    assert color(decoder((10, 10), "crop")(image)) == GREEN
    # At half the size the filter reaches one pixel beyond the cut, as if the image were resized before.
    assert color(decoder((5, 5), "crop")(image)[:, :, 1:-1]) == GREEN


def test_pad_puts_black_around():
    pixels = decoder((8, 8), "pad")(pictures.plain(WHITE, (16, 8)))
    assert (pixels[:, 2:6] == 255).all()
    assert (pixels[:, :2] == 0).all()
    assert (pixels[:, 6:] == 0).all()


def test_stretch_takes_everything():
    pixels = decoder((4, 4), "stretch")(pictures.halves(RED, BLUE, (64, 8)))
    assert tuple(pixels[:, 0, 0]) == RED
    assert tuple(pixels[:, 0, 3]) == BLUE


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
@pytest.mark.parametrize("size", [(1, 1), (1, 500), (500, 1), (3, 7), (8, 8), (333, 77)])
def test_any_shape_gives_the_wanted_shape(fit, size):
    pixels = decoder((9, 5), fit)(pictures.plain(WHITE, size))
    assert pixels.shape == (3, 9, 5)
    assert pixels.dtype == np.uint8
    assert pixels.flags.c_contiguous
    if fit != "pad":
        assert (pixels == 255).all()


def test_large_jpeg_gives_nearly_the_pixels_of_the_full_decoding(tmp_path):
    gradient = np.linspace(0, 255, 800).astype(np.uint8)
    image = Image.fromarray(np.stack([np.tile(gradient, (600, 1))] * 3, axis=2))
    path = pictures.save(image, tmp_path / "large.jpg", quality=95)
    fast = decoder((32, 32))(path).astype(int)
    full = decoder((32, 32))(image).astype(int)
    assert np.abs(fast - full).max() <= 4


def test_path_text_bytes_and_image_give_the_same(tmp_path):
    path = pictures.save(pictures.noise(np.random.default_rng(0)), tmp_path / "花 朵.png")
    expected = decoder()(path)
    assert (decoder()(str(path)) == expected).all()
    assert (decoder()(path.read_bytes()) == expected).all()
    assert (decoder()(Image.open(path)) == expected).all()


def test_unreadable_files_are_named_with_the_reason(tmp_path):
    empty = tmp_path / "空.jpg"
    empty.write_bytes(b"")
    text = tmp_path / "notes.png"
    text.write_text("not an image")
    folder = tmp_path / "folder.png"
    folder.mkdir()
    float_tiff = pictures.save(Image.new("F", (4, 4)), tmp_path / "float.tif")
    cases = {
        empty: "the file is empty",
        text: "is not an image in a known format",
        tmp_path / "missing.png": "the file does not exist",
        folder: "is not a regular file",
        float_tiff: "32-bit float pixels have no known range",
        pictures.truncated(tmp_path / "cut.jpg"): "cannot be decoded: .*truncated",
        pictures.truncated(tmp_path / "cut.png"): "cannot be decoded",
    }
    for path, reason in cases.items():
        with pytest.raises(DataError, match=reason) as caught:
            decoder()(path)
        assert str(path) in str(caught.value)


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "I;16"])
@pytest.mark.parametrize("keep", [0.2, 0.5, 0.9])
def test_damaged_pixels_are_refused_wherever_the_damage_is(tmp_path, mode, keep):
    """Not black below the damage, as Pillow gives them at the second call."""
    image = pictures.noise(np.random.default_rng(3), (60, 60))
    if mode == "I;16":
        image = Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 200)
    buffer = io.BytesIO()
    (image if mode == "I;16" else image.convert(mode)).save(buffer, "PNG")
    raw = bytearray(buffer.getvalue())
    start, end = raw.index(b"IDAT") + 4, raw.index(b"IEND") - 8
    place = start + int(keep * (end - start))
    raw[place : place + 12] = b"\xff" * 12
    path = tmp_path / "a.png"
    path.write_bytes(raw)
    for source in (path, bytes(raw), Image.open(path)):
        with pytest.raises(DataError, match="cannot be decoded"):
            decoder()(source)
    if mode in ("P", "I;16"):
        assert look_at(path) is None


@pytest.mark.parametrize("form", ["AVIF", "JPEG2000", "TIFF", "WEBP"])
@pytest.mark.parametrize("keep", [0.3, 0.7])
def test_cut_files_of_newer_formats_are_refused(form, keep):
    if form not in Image.SAVE:
        pytest.skip(f"this Pillow has no {form}")
    buffer = io.BytesIO()
    pictures.noise(np.random.default_rng(3), (60, 60)).save(buffer, form)
    raw = buffer.getvalue()
    with pytest.raises(DataError, match=r"^image: "):
        decoder()(raw[: int(keep * len(raw))])


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::PIL.Image.DecompressionBombWarning")
def test_every_cut_and_every_flipped_byte_is_an_error_or_an_image(tmp_path):
    """A damaged file must never end in another exception than DataError."""
    image = pictures.noise(np.random.default_rng(3), (20, 20))
    rng = np.random.default_rng(4)
    for form in ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"):
        buffer = io.BytesIO()
        image.save(buffer, form)
        raw = buffer.getvalue()
        for _ in range(40):
            damaged = bytearray(raw[: rng.integers(1, len(raw))] if rng.random() < 0.5 else raw)
            for position in rng.integers(0, len(damaged), 3):
                damaged[position] = rng.integers(0, 256)
            try:
                pixels = decoder()(bytes(damaged))
            except DataError:
                continue
            assert pixels.shape == (3, 8, 8)


def bomb(width, height):
    def chunk(kind, data):
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([8, 2, 0, 0, 0])
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


@pytest.mark.parametrize("limit", [Image.MAX_IMAGE_PIXELS, None])
@pytest.mark.parametrize("size", [(60000, 60000), (200, 1_000_000), (13_378, 13_378)])
def test_decompression_bomb_is_refused(monkeypatch, tmp_path, limit, size):
    """Also where another part of the process has lifted Pillow's limit."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    with pytest.raises(DataError, match=r"^image: has [\d,]{11,13} pixels, more than the 178,956,970 allowed$"):
        decoder()(bomb(*size))
    (tmp_path / "a.png").write_bytes(bomb(*size))
    assert look_at(tmp_path / "a.png") is None


def test_large_images_are_decoded_one_at_a_time(monkeypatch, tmp_path):
    monkeypatch.setattr(decoding, "LARGE", 100)
    path = pictures.save(pictures.plain(RED, (20, 20)), tmp_path / "large.png")
    inside, most, lock = 0, 0, threading.Lock()
    pixels = Decoder._pixels

    def slow(self, *image):
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        time.sleep(0.02)
        result = pixels(self, *image)
        with lock:
            inside -= 1
        return result

    monkeypatch.setattr(Decoder, "_pixels", slow)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(decoder(), [path] * 8))
        assert most == 1
        monkeypatch.setattr(decoding, "LARGE", 400)
        list(pool.map(decoder(), [path] * 8))
    assert most > 1


def test_grey_files_are_told_from_colored_ones(tmp_path):
    grey = pictures.save(Image.new("L", (4, 4), 5), tmp_path / "a.png")
    deep = pictures.save(Image.fromarray(np.zeros((4, 4), np.uint16)), tmp_path / "b.png")
    grey_palette = pictures.save(Image.new("L", (4, 4), 5).convert("P"), tmp_path / "c.png")
    color_file = pictures.save(pictures.plain(RED), tmp_path / "d.png")
    color_palette = pictures.save(pictures.plain(RED).convert("P"), tmp_path / "e.png")
    assert look_at(grey).grey
    assert look_at(deep).grey
    assert look_at(grey_palette).grey
    assert not look_at(color_file).grey
    assert not look_at(color_palette).grey
    assert look_at(tmp_path / "missing.png") is None


@pytest.mark.parametrize("size", [(301, 200), (97, 333)])
def test_a_cut_centre_has_the_pixels_of_the_resized_whole(tmp_path, size):
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    path = pictures.save(Image.fromarray(noise), tmp_path / "a.png")
    got = Decoder(32, 32, "crop", 3)(path).transpose(1, 2, 0).astype(int)
    ratio = 32 / min(size)
    resized = tuple(round(side * ratio) for side in size)
    whole = np.asarray(Image.fromarray(noise).resize(resized, Image.Resampling.BILINEAR)).astype(int)
    left, top = (resized[0] - 32) // 2, (resized[1] - 32) // 2
    assert np.abs(got - whole[top : top + 32, left : left + 32]).max() <= 1
    older = Decoder(32, 32, "crop", 3, grid="box")(path).transpose(1, 2, 0).astype(int)
    assert np.abs(older - whole[top : top + 32, left : left + 32]).max() > 1
