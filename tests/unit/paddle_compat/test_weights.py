import os
import pickle

import numpy as np
import paddle
import pytest

from paddle_automl.core.errors import ConfigError
from paddle_automl.paddle_compat.weights import load_weights, save_weights


def test_round_trip(tmp_path):
    net = paddle.nn.Sequential(paddle.nn.Conv2D(1, 2, 3), paddle.nn.BatchNorm2D(2))
    file = tmp_path / "权重 best.pdparams"
    save_weights(file, net.state_dict())
    arrays = load_weights(file)
    assert arrays.keys() == net.state_dict().keys()
    for name, tensor in net.state_dict().items():
        assert np.array_equal(arrays[name], tensor.numpy())
    assert os.listdir(tmp_path) == [file.name]
    # Paddle itself reads the file too.
    net.set_state_dict(paddle.load(str(file)))


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_reads_what_paddle_writes_in_any_protocol(tmp_path, protocol):
    state = paddle.nn.Linear(3, 2).state_dict()
    paddle.save(state, str(tmp_path / "a.pdparams"), protocol=protocol)
    assert {name: array.shape for name, array in load_weights(tmp_path / "a.pdparams").items()} == {
        "weight": (3, 2),
        "bias": (2,),
    }


def test_reads_plain_arrays(tmp_path):
    (tmp_path / "a.pdparams").write_bytes(pickle.dumps({"w": np.ones((2, 3), np.float32), "note": "x"}))
    assert load_weights(tmp_path / "a.pdparams")["w"].shape == (2, 3)


class Evil:
    def __reduce__(self):
        return os.system, ("touch evil-was-here",)


def test_a_file_that_would_run_a_program_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.pdparams").write_bytes(pickle.dumps({"w": Evil()}))
    with pytest.raises(ConfigError, match=r"a\.pdparams: is not a file of weights.*system"):
        load_weights("a.pdparams")
    assert not (tmp_path / "evil-was-here").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not a file of weights"),
        (b"not a pickle", "is not a file of weights"),
        (pickle.dumps([1, 2]), "must hold a state dict, got a list"),
        (pickle.dumps({"a": "text"}), "holds no weights"),
    ],
)
def test_other_files_are_refused(tmp_path, content, message):
    (tmp_path / "a.pdparams").write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        load_weights(tmp_path / "a.pdparams")


def test_a_cut_off_file_is_refused(tmp_path):
    save_weights(tmp_path / "a.pdparams", paddle.nn.Linear(30, 20).state_dict())
    content = (tmp_path / "a.pdparams").read_bytes()
    (tmp_path / "a.pdparams").write_bytes(content[: len(content) // 2])
    with pytest.raises(ConfigError, match="is not a file of weights"):
        load_weights(tmp_path / "a.pdparams")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.pdparams: cannot read the weights: No such file"):
        load_weights(tmp_path / "none.pdparams")
