"""Which files are decoded: formats, regular files, texts inside, limits of one image."""

import io
import os
import subprocess
import sys
import threading
import zlib

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from paddle_automl.core.errors import DataError
from paddle_automl.inputs.folders import look_into
from paddle_automl.inputs.image import decoding, modes
from paddle_automl.inputs.image.decoding import Decoder, look_at
from paddle_automl.inputs.image.files import IMAGES, is_image_name
from paddle_automl.inputs.image.formats import formats_of, image_suffixes, without_texts
from tests.unit.data import pictures

DECODER = Decoder(8, 8, "stretch", 3)


class TestFormats:
    def test_suffixes(self):
        assert {
            ".jpg",
            ".jpeg",
            ".png",
            ".webp",
            ".jp2",
            ".tga",
            ".qoi",
            ".mpo",
            ".ico",
            ".psd",
        } <= image_suffixes()
        assert not {".eps", ".ps", ".pdf", ".wmf", ".emf", ".h5", ".mpg", ".txt"} & image_suffixes()
        assert is_image_name("A.JP2")
        assert not is_image_name(".a.png")

    @pytest.mark.parametrize("form", ["JPEG2000", "TGA", "QOI", "PCX", "SGI", "DDS", "ICO", "DIB", "PPM", "AVIF"])
    def test_each_is_decoded(self, tmp_path, form):
        Image.init()
        if form not in Image.SAVE or form not in Image.OPEN:
            pytest.skip(f"this Pillow cannot write {form}")
        suffix = next(s for s, name in Image.registered_extensions().items() if name == form)
        path = pictures.save(pictures.plain((200, 40, 90), (32, 32)), tmp_path / f"a{suffix}", format=form)
        np.testing.assert_allclose(DECODER(path)[:, 4, 4], (200, 40, 90), atol=12)
        assert not look_at(path).grey

    def test_the_content_decides_whatever_the_suffix(self, tmp_path):
        path = pictures.save(pictures.plain(pictures.RED), tmp_path / "photo.png", format="WEBP")
        assert DECODER(path)[0].min() > 250

    def test_a_format_without_a_mark_needs_its_suffix(self, tmp_path):
        buffer = io.BytesIO()
        pictures.plain(pictures.RED).save(buffer, "TGA")
        (tmp_path / "a.png").write_bytes(buffer.getvalue())
        (tmp_path / "a.tga").write_bytes(buffer.getvalue())
        with pytest.raises(DataError, match="is not an image in a known format"):
            DECODER(tmp_path / "a.png")
        assert DECODER(tmp_path / "a.tga")[0].min() == 255
        assert "TGA" not in formats_of("a.png")
        assert "TGA" in formats_of("A.TGA")

    @pytest.mark.parametrize("name", ["a.png", "a.eps", "a.jpg"])
    def test_no_program_is_started(self, tmp_path, monkeypatch, name):
        """PostScript with an image's name would run Ghostscript."""
        (tmp_path / "gs").write_text(f"#!/bin/sh\necho ran >> {tmp_path}/log\nexit 1\n")
        (tmp_path / "gs").chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
        eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 20 20\n%%EndComments\nshowpage\n"
        (tmp_path / name).write_bytes(eps)
        for source in (tmp_path / name, eps):
            with pytest.raises(DataError, match="is not an image in a known format"):
                DECODER(source)
        assert look_at(tmp_path / name) is None
        assert not (tmp_path / "log").exists()

    @pytest.mark.parametrize("content", [b"%PDF-1.4\n%EOF", b"\x89HDF\r\n\x1a\n" + bytes(64), b"GRIB" + bytes(64)])
    def test_what_is_no_raster_image(self, content):
        with pytest.raises(DataError, match="image: is not an image in a known format"):
            DECODER(content)


class TestRegularFiles:
    @pytest.mark.timeout(60)
    def test_a_pipe_with_the_name_of_an_image(self, tmp_path):
        os.mkfifo(tmp_path / "f.png")
        with pytest.raises(DataError, match=r"f\.png: is not a regular file"):
            DECODER(tmp_path / "f.png")
        assert look_at(tmp_path / "f.png") is None

    @pytest.mark.timeout(60)
    def test_a_link_to_a_device(self, tmp_path):
        (tmp_path / "z.png").symlink_to("/dev/zero")
        with pytest.raises(DataError, match=r"z\.png: is not a regular file"):
            DECODER(tmp_path / "z.png")

    @pytest.mark.timeout(60)
    def test_a_pipe_among_the_files_of_a_training(self, flowers, tmp_path):
        os.mkfifo(flowers / "郁金香" / "0.png")
        program = (
            "from paddle_automl.data.config import DataConfig\n"
            "from paddle_automl.data.prepare import prepare\n"
            f"config = DataConfig.model_validate({{'dataset': {{'name': 'image_folder', 'root': {str(flowers)!r}}},"
            " 'input': {'size': 8}, 'on_error': 'skip'})\n"
            "print([reason for _, reason in prepare(config, seed=0).skipped])\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, timeout=50, check=True
        )
        assert done.stdout.strip() == "['is not a regular file']"

    def test_a_link_to_a_file_is_followed(self, tmp_path):
        pictures.save(pictures.plain(pictures.RED), tmp_path / "a.png")
        (tmp_path / "b.png").symlink_to(tmp_path / "a.png")
        assert (DECODER(tmp_path / "b.png") == DECODER(tmp_path / "a.png")).all()


def png_with(tmp_path, kind):
    """Write a sound PNG with 2 MB of text or profile, packed to little, and return its path."""
    image = pictures.noise(np.random.default_rng(0))
    info = PngImagePlugin.PngInfo()
    options = {"pnginfo": info}
    if kind == "zTXt":
        info.add_text("Comment", "x" * 2_000_000, zip=True)
    elif kind == "iTXt":
        info.add_itxt("Comment", "y" * 2_000_000, zip=True)
    else:
        options["icc_profile"] = bytes(2_000_000)
    return image, pictures.save(image, tmp_path / f"{kind}.png", **options)


class TestTexts:
    @pytest.mark.parametrize("kind", ["zTXt", "iTXt", "iCCP"])
    def test_large_texts_and_profiles_do_not_matter(self, tmp_path, kind):
        image, path = png_with(tmp_path, kind)
        with pytest.raises(ValueError, match="too large"):
            Image.open(path).load()
        assert (DECODER(path) == DECODER(image)).all()
        assert not look_at(path).grey

    def test_a_turn_in_the_exif_part_is_kept(self, tmp_path):
        image = pictures.halves(pictures.RED, pictures.BLUE, (8, 8))
        exif = Image.Exif()
        exif[0x0112] = 3
        info = PngImagePlugin.PngInfo()
        info.add_text("Comment", "x" * 2_000_000, zip=True)
        path = pictures.save(image, tmp_path / "a.png", pnginfo=info, exif=exif)
        assert (DECODER(path) == DECODER(image)[:, ::-1, ::-1]).all()

    def test_nothing_to_leave_out(self, tmp_path):
        path = pictures.save(pictures.plain(pictures.RED), tmp_path / "a.png")
        assert without_texts(path.read_bytes()) is None
        assert without_texts(b"no png") is None
        assert without_texts(path.read_bytes()[:20]) is None

    def test_a_damaged_file_with_a_text_is_still_an_error(self, tmp_path):
        _, path = png_with(tmp_path, "zTXt")
        path.write_bytes(path.read_bytes()[:-60])
        with pytest.raises(DataError, match=r"zTXt\.png: cannot be decoded"):
            DECODER(path)


def bomb(width, height, depth=8, color=2):
    """Return a PNG of one color, packed to little."""

    def chunk(kind, data):
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    row = 1 + width * depth // 8 * {0: 1, 2: 3}[color]
    packer = zlib.compressobj(1)
    packed = b"".join(packer.compress(bytes(row)) for _ in range(height)) + packer.flush()
    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([depth, color, 0, 0, 0])
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


class TestLimits:
    def test_too_many_pixels_are_refused(self):
        with pytest.raises(DataError, match=r"image: has [\d,]+ pixels, more than the 178,956,970 allowed"):
            DECODER(bomb(20000, 10000, depth=1, color=0))

    def test_a_file_too_large_to_be_read(self, tmp_path):
        path = tmp_path / "huge.png"
        with open(path, "wb") as file:
            file.truncate(decoding.MOST_BYTES + 1)
        with pytest.raises(DataError, match=r"huge\.png: the file has 1\.1 GB, more than the 1\.1 GB allowed"):
            DECODER(path)
        assert look_at(path) is None

    def test_no_memory_is_an_error_of_the_file(self, tmp_path, monkeypatch):
        path = pictures.save(pictures.plain(pictures.RED), tmp_path / "a.png")

        def full(*_, **__):
            raise MemoryError

        monkeypatch.setattr("PIL.Image.Image.convert", full)
        with pytest.raises(DataError, match=r"a\.png: cannot be decoded: it needs more memory than available"):
            DECODER(path)

    def test_large_images_are_decoded_one_at_a_time(self, tmp_path, monkeypatch):
        monkeypatch.setattr(decoding, "LARGE", 50)
        path = pictures.save(pictures.plain(pictures.RED), tmp_path / "a.png")
        inside, most = [0], [0]
        plain = Decoder._pixels

        def counted(self, *image):
            inside[0] += 1
            most[0] = max(most[0], inside[0])
            try:
                return plain(self, *image)
            finally:
                inside[0] -= 1

        monkeypatch.setattr(Decoder, "_pixels", counted)
        threads = [threading.Thread(target=lambda: [DECODER(path) for _ in range(20)]) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert most == [1]


class TestDepth:
    def test_a_range_is_spread_over_the_grey_levels(self, tmp_path):
        values = np.array([[0, 1000], [2000, 4000]], np.uint16)
        path = pictures.save(Image.fromarray(values), tmp_path / "a.png")
        got = Decoder(2, 2, "crop", 1, (1000, 2000))(path)
        assert got[0].tolist() == [[0, 0], [255, 255]]
        assert Decoder(2, 2, "crop", 1, (0, 4000))(path)[0].tolist() == [[0, 64], [128, 255]]
        assert look_at(path).deepest == (0, 4000)

    def test_without_a_range_it_is_sixteen_bits(self, tmp_path):
        values = np.arange(0, 65536, 257, dtype=np.uint16).reshape(16, 16)
        path = pictures.save(Image.fromarray(values), tmp_path / "a.png")
        assert (Decoder(16, 16, "crop", 1)(path)[0].ravel() == np.arange(256)).all()

    def test_floats_and_large_integers_need_a_range(self, tmp_path):
        floats = pictures.save(Image.fromarray(np.array([[0, 0.5], [1, np.nan]], np.float32)), tmp_path / "f.tif")
        large = pictures.save(Image.fromarray(np.array([[0, 70000], [-5, 9]], np.int32)), tmp_path / "i.tif")
        for path, match in ((floats, "no known range; set data.input.range"), (large, "beyond 16 bits; set")):
            with pytest.raises(DataError, match=match):
                Decoder(2, 2, "crop", 1)(path)
        assert Decoder(2, 2, "crop", 1, (0, 1))(floats)[0].tolist() == [[0, 128], [255, 0]]
        assert Decoder(2, 2, "crop", 1, (0, 70000))(large)[0].tolist() == [[0, 255], [0, 0]]

    def test_a_large_deep_image_is_reduced_in_pieces(self, tmp_path, monkeypatch):
        values = np.random.default_rng(0).integers(0, 65536, (50, 40)).astype(np.uint16)
        path = pictures.save(Image.fromarray(values), tmp_path / "a.png")
        whole = Decoder(50, 40, "crop", 1)(path)
        monkeypatch.setattr(modes, "_CHUNK", 100)
        assert (Decoder(50, 40, "crop", 1)(path) == whole).all()
        assert (whole[0] == (values.astype(int) * 255 + 32767) // 65535).all()


class TestFolders:
    def test_others_and_results_are_counted(self, flowers):
        (flowers / "a.heic").write_bytes(b"x")
        (flowers / "郁金香" / "README").write_text("x")
        (flowers / "out" / "run").mkdir(parents=True)
        (flowers / "out" / "run" / "study.db").write_text("x")
        pictures.save(pictures.plain(pictures.RED), flowers / "out" / "run" / "x.png")
        found = look_into(flowers, IMAGES)
        assert len(found.items) == 20
        assert found.others == {".heic": 1, "no suffix": 1}
        assert found.results == [flowers / "out" / "run"]
        assert look_into(flowers / "out" / "run", IMAGES).items == [flowers / "out" / "run" / "x.png"]
