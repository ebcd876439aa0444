import numpy as np
import paddle
import pytest
from paddle import nn

from paddle_automl.core.errors import ConfigError
from paddle_automl.paddle_compat.device import move, seed_everything, set_device, set_threads


def test_cpu_is_always_there():
    set_device("cpu")
    assert paddle.get_device() == "cpu"


@pytest.mark.parametrize("device", ["", "cpu:1", "tpu", "gpu:x", "gpu:-1", "gpu:²", "gpu:" + "1" * 5000])
def test_a_wrong_name_is_refused(device):
    with pytest.raises(ConfigError, match=r"device: must be cpu or gpu:N"):
        set_device(device)


@pytest.mark.skipif(paddle.device.is_compiled_with_cuda(), reason="this Paddle is built with CUDA")
def test_a_gpu_without_cuda_says_what_to_do():
    with pytest.raises(ConfigError, match=r"'gpu:0' needs a Paddle built with CUDA.*install paddlepaddle-gpu"):
        set_device("gpu:0")


def test_a_gpu_that_is_not_there(monkeypatch):
    monkeypatch.setattr(paddle.device, "is_compiled_with_cuda", lambda: True)
    monkeypatch.setattr(paddle.device.cuda, "device_count", lambda: 1)
    with pytest.raises(ConfigError, match=r"no 'gpu:1'; Paddle sees 1 GPUs"):
        set_device("gpu:1")


def test_recurrent_layers_can_be_moved():
    """Paddle 3.3 cannot copy a buffer without memory."""
    layer = nn.Sequential(nn.GRU(3, 2))
    buffers = dict(layer.named_buffers())
    move(layer, "cpu")
    move(layer, dtype="float32")
    assert {name: id(buffer) for name, buffer in layer.named_buffers()} == {n: id(b) for n, b in buffers.items()}
    assert layer(paddle.ones([1, 4, 3]))[0].shape == [1, 4, 2]


def test_threads():
    with pytest.raises(ConfigError, match="at least 1, got 0"):
        set_threads(0)
    set_threads(1)
    assert float(paddle.matmul(paddle.ones([8, 8]), paddle.ones([8, 8])).sum()) == 512


def test_seed_and_name_decide_the_draws():
    def draw(*arguments):
        seed_everything(*arguments)
        return paddle.randn([4]).numpy()

    assert np.array_equal(draw(3, "weights"), draw(3, "weights"))
    assert not np.array_equal(draw(3, "weights"), draw(3, "training"))
    assert not np.array_equal(draw(3, "weights"), draw(0, "weights"))
