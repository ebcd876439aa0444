"""Weights, idx files and NumPy archives."""

import gzip
import io
import pickle
import struct

import numpy as np
import pytest

from paddle_automl.core.errors import ConfigError, DataError
from paddle_automl.data.array_files import open_npz, read_idx
from paddle_automl.paddle_compat.weights import load_weights
from tests.fuzz.damage import MANY, SAMPLE, Growth, damaged, only_two_ends

counts = pytest.mark.parametrize("count", [SAMPLE, pytest.param(MANY, marks=pytest.mark.slow)])
RNG = np.random.default_rng(0)


def saved(save, **arrays) -> bytes:
    stream = io.BytesIO()
    save(stream, **arrays)
    return stream.getvalue()


IMAGES = RNG.integers(0, 256, (5, 4, 3), dtype=np.uint8)
IDX = bytes([0, 0, 8, 3]) + struct.pack(">III", *IMAGES.shape) + IMAGES.tobytes()
ARRAYS = {
    "x_train": IMAGES,
    "y_train": np.array(["a", "猫", "c", "d", "e"]),
    "other": np.asfortranarray(RNG.random((3, 4))),
}
STATE = {
    "weight": RNG.random((3, 4)).astype("f4"),
    "bias": np.arange(4, dtype=">i4"),
    "named": ("n", np.ones(2)),
    "StructuredToParameterName@@": {"weight": "w_0"},
}


@counts
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_damaged_idx_files(tmp_path, pack, count):
    path = tmp_path / "images"
    ends = set()
    with Growth():
        for content in damaged(pack(IDX), count, seed=3):
            path.write_bytes(content)
            ends.add(only_two_ends(lambda: read_idx(path), DataError))
    assert False in ends


@counts
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_damaged_archives(tmp_path, save, count):
    path = tmp_path / "a.npz"

    def read() -> None:
        with open_npz(path) as archive:
            for key in archive.keys:
                # Texts are looked at as texts: an impossible character would show here.
                [str(item) for item in archive.array(key).ravel()]

    ends = set()
    with Growth():
        for content in damaged(saved(save, **ARRAYS), count, seed=4):
            path.write_bytes(content)
            ends.add(only_two_ends(read, DataError))
    assert False in ends


@counts
@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_damaged_weights(tmp_path, protocol, count):
    path = tmp_path / "w.pdparams"

    def read() -> None:
        for array in load_weights(path).values():
            assert array.dtype.kind in "fiubc"
            array.sum()

    ends = set()
    with Growth():
        for content in damaged(pickle.dumps(STATE, protocol=protocol), count, seed=5):
            path.write_bytes(content)
            ends.add(only_two_ends(read, ConfigError))
    assert ends == {True, False}


@counts
def test_instructions_in_any_order(tmp_path, count):
    path = tmp_path / "w.pdparams"
    rng = np.random.default_rng(6)
    known = [bytes([code]) for code in b"(}])tldaesuRbqhrj\x85\x86\x87\x93\x94\x88\x89N20.1KJMCUX\x8c\x8e\x96cgp"]
    words = [
        b"numpy\nndarray\n",
        b"\x05numpy",
        b"\x07ndarray",
        b"\x05dtype",
        b"\x02f4",
        b"\x02O8",
        b"\x00\x00\x00\x7f",
    ]
    with Growth():
        for _ in range(count):
            picked = [
                words[int(rng.integers(len(words)))] if rng.random() < 0.2 else known[int(rng.integers(len(known)))]
                for _ in range(int(rng.integers(1, 60)))
            ]
            path.write_bytes(b"\x80\x04" + b"".join(picked) + b".")
            only_two_ends(lambda: load_weights(path), ConfigError)
