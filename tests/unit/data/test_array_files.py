"""Headers that claim more than a file holds, and files that unpack to far more, are refused early."""

import gzip
import io
import os
import re
import struct
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from paddle_automl.core.errors import DataError
from paddle_automl.data import array_files
from paddle_automl.data.array_files import open_npz, read_idx


def idx(*shape: int, content: bytes = b"") -> bytes:
    return bytes([0, 0, 8, len(shape)]) + b"".join(struct.pack(">I", size) for size in shape) + content


def npy(header: str, content: bytes = b"", version: bytes = b"\x01\x00") -> bytes:
    text = header.encode() + b"\n"
    length = struct.pack("<H" if version == b"\x01\x00" else "<I", len(text))
    return b"\x93NUMPY" + version + length + text + content


def descr(dtype: str, *shape: int, fortran: bool = False) -> str:
    return f"{{'descr': {dtype!r}, 'fortran_order': {fortran}, 'shape': {shape!r}, }}"


def archive(path: Path, member: bytes, pack: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", pack) as file:
        file.writestr("x_train.npy", member)
    return path


def refused(read) -> str:
    tracemalloc.start()
    try:
        with pytest.raises(DataError) as caught:
            read()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 16 << 20
    return str(caught.value)


def read_npz(path: Path, key: str = "x_train") -> np.ndarray:
    with open_npz(path) as opened:
        return opened.array(key)


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        # The product is 2^64, which overflows to nothing.
        (idx(2**31, 2**31, 4), "truncated or damaged|claims 18446744073709551616 bytes"),
        (idx(2**32 - 1), "truncated or damaged|claims 4294967295 bytes"),
        (bytes([0, 0, 8, 200]) + struct.pack(">I", 1) * 200 + b"x", "has 200 dimensions"),
        (bytes([0, 0, 8, 33]) + struct.pack(">I", 1) * 33 + b"x", "has 33 dimensions"),
        (bytes([0, 0, 8, 0]) + b"x", "truncated or damaged"),
        (idx(3, content=b"ab"), r"truncated or damaged: 10 bytes for an array of shape \[3\]"),
        (idx(2, content=b"abc"), "truncated or damaged: (more than 10|11) bytes for an array of shape"),
        (idx(5)[:6], "truncated or damaged"),
        (b"\0\0\x0d\x01" + bytes(8), "is not an idx file of uint8 values; it starts with 00 00 0d 01"),
    ],
)
def test_an_idx_header_that_does_not_fit_its_file(tmp_path, pack, content, message):

    path = tmp_path / "labels"
    path.write_bytes(pack(content))
    assert re.search(f"labels: .*({message})", refused(lambda: read_idx(path)))


def test_a_gzip_bomb_is_refused_by_what_it_claims_and_by_what_it_is(tmp_path):
    path = tmp_path / "bomb.gz"
    content = idx(100, 1000, 1000, content=bytes(100_000_000))
    path.write_bytes(gzip.compress(content))
    assert "claims 100000000 bytes in" in refused(lambda: read_idx(path))
    # A header of four bytes and no end behind it: no more than one byte beyond the claim is unpacked.
    path.write_bytes(gzip.compress(idx(4, content=bytes(50_000_000))))
    assert "more than 12 bytes for an array of shape [4]" in refused(lambda: read_idx(path))


def test_labels_in_order_pack_very_well_and_are_read(tmp_path):
    labels = np.repeat(np.arange(10, dtype=np.uint8), 100_000)
    packed = gzip.compress(idx(len(labels), content=labels.tobytes()))
    assert len(labels) > 200 * len(packed)
    (tmp_path / "labels.gz").write_bytes(packed)
    assert np.array_equal(read_idx(tmp_path / "labels.gz"), labels)


@pytest.mark.parametrize("pack", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize(
    ("member", "message"),
    [
        (
            npy(descr("|u1", 2**31, 8, 8)),
            r"x_train' is damaged: the shape .* needs 137438953472 bytes, it holds 0",
        ),
        (npy(descr("|u1", 2**40, 2**40), bytes(100)), "needs 1208925819614629174706176 bytes, it holds 100"),
        (npy(descr("<f8", 3), bytes(8)), "needs 24 bytes, it holds 8"),
        (npy(descr("<f8", 1), bytes(9)), "needs 8 bytes, it holds 9"),
        (npy(descr("<f8", -1), bytes(8)), "needs -8 bytes"),
        (npy(descr("<U99999999", 2), bytes(8)), "needs 799999992 bytes"),
        (npy(descr("<U0", 2**60)), "are neither images nor labels"),
        (npy(descr("|u1", *[1] * 33), b"x"), "33 axes of uint8"),
        (npy(descr("|O", 1), b"\x80\x04N."), "Python objects, and allow_pickle is never set"),
        (npy("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,)}", bytes(4)), "neither images nor"),
        (npy("{'descr': '<M8[s]', 'fortran_order': False, 'shape': (1,)}", bytes(8)), "neither images nor labels"),
        (npy(descr("<U1", 1), b"\xff\xff\xff\xff"), "characters that do not exist"),
        (npy(descr("<U1", 1), b"\x00\xd8\x00\x00"), "characters that do not exist"),
        (npy("__import__('os').system('touch was-here')"), "is damaged"),
        (npy("(" * 5000), "is damaged"),
        (npy("{'descr': '<f4'}"), "is damaged"),
        (npy(descr("|u1", 1), b"x", b"\x03\x00"), r"version \(3, 0\)"),
        (b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**32 - 1) + b"x", "is damaged"),
        (b"no array", "is damaged"),
        (b"", "is damaged"),
    ],
)
def test_an_npy_header_that_does_not_fit_its_member(tmp_path, pack, member, message):

    path = archive(tmp_path / "a.npz", member, pack)
    assert re.search(rf"a\.npz: the array '.*{message}", refused(lambda: read_npz(path)))


def test_a_zip_bomb_is_refused(tmp_path):
    content = npy(descr("|u1", 1000, 1000, 100), bytes(100_000_000))
    path = archive(tmp_path / "a.npz", content, zipfile.ZIP_DEFLATED)
    assert "more than 200 times as many is refused" in refused(lambda: read_npz(path))


def test_what_a_zip_directory_says_of_a_member_is_not_believed(tmp_path):
    path = archive(tmp_path / "a.npz", npy(descr("|u1", 1000), bytes(1000)))
    raw = path.read_bytes()
    entry = raw.index(b"PK\x01\x02")
    for name, offset in (("unpacked", 24), ("packed", 20)):
        changed = raw[: entry + offset] + struct.pack("<I", 50_000_000) + raw[entry + offset + 4 :]
        path.write_bytes(changed)
        assert "'x_train'" in refused(lambda: read_npz(path)), name
    for flags in (1, 0):
        method = struct.pack("<HH", flags, 0 if flags else 14)
        path.write_bytes(raw[: entry + 8] + method + raw[entry + 12 :])
        assert "in a way that NumPy does not write" in refused(lambda: read_npz(path))
    # One byte of the content: the checksum tells it.
    path.write_bytes(raw[:200] + b"\x01" + raw[201:])
    assert "is damaged: Bad CRC-32" in refused(lambda: read_npz(path))


def test_a_single_array_with_a_forged_header_is_told_by_its_first_bytes(tmp_path):
    (tmp_path / "a.npz").write_bytes(npy(descr("|u1", 2**40)))
    assert "is a single array" in refused(lambda: read_npz(tmp_path / "a.npz"))


def test_too_little_memory_is_told_as_such(tmp_path, monkeypatch):
    path = archive(tmp_path / "a.npz", npy(descr("|u1", 4), bytes(4)))

    def none_left(*given):
        raise MemoryError

    monkeypatch.setattr(array_files.np, "empty", none_left)
    with pytest.raises(DataError, match=r"'x_train' cannot be read: it needs more memory than available"):
        read_npz(path)
    monkeypatch.setattr(array_files, "_idx_array", none_left)
    with pytest.raises(DataError, match=r"a\.npz: cannot be read: it needs more memory than available"):
        read_idx(path)


@pytest.mark.skipif(os.name != "posix", reason="pipes of POSIX systems")
def test_a_pipe_is_no_file_of_arrays(tmp_path):
    os.mkfifo(tmp_path / "a")
    for read in (read_idx, read_npz):
        with pytest.raises(DataError, match="is not a regular file"):
            read(tmp_path / "a")


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_all_that_numpy_saves_is_read_as_numpy_reads_it(tmp_path, save):
    rng = np.random.default_rng(0)
    arrays = {
        "images": rng.integers(0, 256, (7, 5, 4, 3), dtype=np.uint8),
        "fortran": np.asfortranarray(rng.random((3, 4))),
        "big": np.arange(5, dtype=">i4"),
        "texts": np.array(["a", "猫", "\U0001f600"]),
        "truth": np.array([[True], [False]]),
        "scalar": np.array(3),
        "none": np.zeros((0, 2)),
        "large": rng.integers(0, 256, 3 << 20, dtype=np.uint8),
    }
    stream = io.BytesIO()
    save(stream, **arrays)
    (tmp_path / "a.npz").write_bytes(stream.getvalue())
    with open_npz(tmp_path / "a.npz") as opened, np.load(tmp_path / "a.npz") as reference:
        assert opened.keys == reference.files
        for key in opened.keys:
            assert np.array_equal(opened.array(key), reference[key])
            assert opened.array(key).dtype == reference[key].dtype
