"""Weight files of PyTorch: what is read, and that nothing in a file is executed."""

import os
import zipfile

import numpy as np
import pytest

from paddle_automl.core.errors import ConfigError
from paddle_automl.paddle_compat.torch_weights import load_torch_weights
from tests.unit.paddle_compat.legacy_torch import Tensor, archived, written

MATRIX = np.arange(6, dtype="<f4").reshape(2, 3)
COUNT = np.array(7, dtype="<i8")


def file_of(tmp_path, content):
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    return path


def test_tensors_of_a_state_dict(tmp_path, monkeypatch):
    window = Tensor(MATRIX, "0", offset=1, shape=(2, 2), strides=(3, 1))
    content = written(monkeypatch, {"a.weight": Tensor(MATRIX, "0"), "b": window, "steps": Tensor(COUNT, "1")})
    found = load_torch_weights(file_of(tmp_path, content))
    assert list(found) == ["a.weight", "b", "steps"]
    assert np.array_equal(found["a.weight"], MATRIX)
    assert np.array_equal(found["b"], MATRIX[:, 1:])
    assert found["steps"] == 7
    found["b"][:] = 0
    assert found["a.weight"][0, 1] == 1, "every array owns its numbers"


def test_bfloat16_is_widened(tmp_path, monkeypatch):
    halves = (MATRIX.view("<u4") >> 16).astype("<u2")
    tensors = {"a": Tensor(halves, "0"), "b": Tensor(halves, "0", offset=1, shape=(2, 2), strides=(3, 1))}
    for content in (written(monkeypatch, tensors), archived(monkeypatch, tensors)):
        found = load_torch_weights(file_of(tmp_path, content))
        assert found["a"].dtype == np.float32
        assert np.array_equal(found["a"], MATRIX)
        assert np.array_equal(found["b"], MATRIX[:, 1:])


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"offset": 1}, "reaches to element 6 of a storage of 6"),
        ({"strides": (3, 2)}, "reaches to element 7"),
        ({"strides": (-3, 1)}, "not a window on a storage"),
        ({"strides": (1,)}, "not a window on a storage"),
        ({"shape": (2, -3)}, "not a window on a storage"),
        ({"offset": 2**70}, "not a window on a storage"),
        ({"shape": (2**40, 3), "strides": (0, 1)}, "larger than its data"),
    ],
)
def test_a_tensor_outside_of_its_storage(tmp_path, monkeypatch, changes, reason):
    path = file_of(tmp_path, written(monkeypatch, {"a": Tensor(MATRIX, "0", **changes)}))
    with pytest.raises(ConfigError, match=reason):
        load_torch_weights(path)


def test_a_program_in_the_file_does_not_run(tmp_path, monkeypatch):
    class Attack:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path / 'ran'}",)

    for content in (
        written(monkeypatch, {"a": Tensor(MATRIX, "0"), "b": Attack()}),
        written(monkeypatch, {"a": Tensor(MATRIX, "0")}, magic=Attack()),
    ):
        with pytest.raises(ConfigError, match=r"holds '.*system', which no weight file needs"):
            load_torch_weights(file_of(tmp_path, content))
    assert not (tmp_path / "ran").exists()


def test_damaged_and_other_files(tmp_path, monkeypatch):
    whole = written(monkeypatch, {"a": Tensor(MATRIX, "0")})
    for content, reason in (
        (whole[:-4], "truncated"),
        (whole[:60], "weights.pth: is not a file of weights"),
        (b"", "is not a file of weights"),
        (b"text", "is not a file of weights"),
        (written(monkeypatch, {"a": Tensor(MATRIX, "0")}, magic=1), "magic number"),
        (written(monkeypatch, {"a": Tensor(MATRIX, "0")}, little=False), "little-endian"),
        (written(monkeypatch, {"a": 1}), "holds no tensors"),
        (written(monkeypatch, {"a": Tensor(MATRIX, "0")}, storages={}), "numbers of a are missing"),
        (
            written(monkeypatch, {"a": Tensor(MATRIX, "0")}, storages={"0": MATRIX[:1]}),
            "3 numbers, 6 are described",
        ),
        (written(monkeypatch, {"a": Tensor(MATRIX, "0")}, storages={"9": MATRIX}), "not those of the state dict"),
    ):
        with pytest.raises(ConfigError, match=reason):
            load_torch_weights(file_of(tmp_path, content))
    with pytest.raises(ConfigError, match="cannot read the weights: No such file"):
        load_torch_weights(tmp_path / "missing.pth")


def test_an_archive_of_later_versions(tmp_path, monkeypatch):
    window = Tensor(MATRIX, "0", offset=1, shape=(2, 2), strides=(3, 1))
    state = {"a.weight": Tensor(MATRIX, "0"), "b": window, "steps": Tensor(COUNT, "1")}
    found = load_torch_weights(file_of(tmp_path, archived(monkeypatch, state)))
    assert list(found) == ["a.weight", "b", "steps"]
    assert np.array_equal(found["b"], MATRIX[:, 1:])
    assert found["steps"] == 7
    # A checkpoint holds more than the state dict.
    checkpoint = archived(monkeypatch, {"epoch": 3, "state_dict": state})
    assert list(load_torch_weights(file_of(tmp_path, checkpoint))) == list(found)


def test_an_archive_with_a_mistake(tmp_path, monkeypatch):
    state = {"a": Tensor(MATRIX, "0")}
    for content, reason in (
        (archived(monkeypatch, state, compression=zipfile.ZIP_DEFLATED), "compressed"),
        (archived(monkeypatch, state, order=b"big"), "not little-endian"),
        (archived(monkeypatch, state, parts={"0": b""}), "24 bytes is described, but there are 0 bytes"),
        (archived(monkeypatch, state, parts={}), "24 bytes is described, but there are none"),
        (archived(monkeypatch, state, name="other.pkl"), "without one data.pkl"),
        (archived(monkeypatch, {"a": os.system}), "system"),
        (archived(monkeypatch, {"a": 1}), "holds no tensors"),
        (archived(monkeypatch, state)[:-30], "is not a file of weights"),
    ):
        with pytest.raises(ConfigError, match=reason):
            load_torch_weights(file_of(tmp_path, content))


def test_every_prefix_and_many_changed_bytes_end_in_one_message(tmp_path, monkeypatch):
    whole = written(monkeypatch, {"a": Tensor(MATRIX, "0"), "b": Tensor(COUNT, "1")})
    rng = np.random.default_rng(0)
    for number in range(300):
        content = bytearray(whole)
        if number < 150:
            content = content[: int(rng.integers(len(whole)))]
        for _ in range(int(rng.integers(1, 5)) if number >= 150 else 0):
            content[int(rng.integers(len(content)))] = int(rng.integers(256))
        try:
            found = load_torch_weights(file_of(tmp_path, bytes(content)))
        except ConfigError:
            continue
        assert all(isinstance(array, np.ndarray) for array in found.values())
