"""What every exporter must do; parametrized over the registry."""

import threading
from pathlib import Path

import numpy as np
import paddle
import pytest
from paddle import nn

from paddle_automl.core.errors import BundleError, ConfigError, UnsupportedError
from paddle_automl.core.schema import PluginConfig
from paddle_automl.deployment.config import DeploymentConfig
from paddle_automl.deployment.exporters.base import EXPORTERS, Exporter

SHAPE = (3, 9, 7)


class Net(nn.Layer):
    """Layers that behave differently in training: dropout and batch norm."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2D(3, 5, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2D(5)
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(5, 4)

    def forward(self, images):
        x = nn.functional.hardswish(self.norm(self.conv(images)))
        return self.head(self.drop(nn.functional.adaptive_avg_pool2d(x, 1).flatten(1)))


@pytest.fixture
def net():
    paddle.seed(1)
    return Net()


@pytest.fixture(params=EXPORTERS.names())
def exporter(request) -> Exporter:
    cls = EXPORTERS[request.param]
    try:
        cls.require()
    except UnsupportedError as error:
        pytest.skip(str(error))
    return cls(cls.Config(name=request.param))


def export(exporter: Exporter, net: Net, folder: Path) -> None:
    exporter.export(net, folder, input_shape=SHAPE, images=images(64))


def agree(exporter: Exporter, got: np.ndarray, expected: np.ndarray) -> None:
    """An 8-bit format answers nearly the same."""
    np.testing.assert_allclose(got, expected, atol=1e-5 if type(exporter).exact else 0.05)


def images(count: int) -> np.ndarray:
    return np.random.default_rng(count).normal(0, 2, (count, *SHAPE)).astype("float32")


def truth(net: Net, batch: np.ndarray) -> np.ndarray:
    net.eval()
    return nn.functional.softmax(net(paddle.to_tensor(batch)), axis=-1).numpy()


def test_there_is_a_first_exporter():
    assert "paddle_inference" in EXPORTERS.names()
    assert DeploymentConfig().exporter.name == "paddle_inference"


def test_options_are_documented(exporter):
    config = type(exporter).Config
    assert issubclass(config, PluginConfig)
    assert all(field.description for field in config.model_fields.values())
    assert EXPORTERS.summary(exporter.name)


def test_export_predicts_the_same_for_any_batch(exporter, net, tmp_path):
    folder = tmp_path / "模型 m"
    folder.mkdir()
    export(exporter, net, folder)
    session = exporter.session(folder)
    for count in (1, 5, 2):
        got = session(images(count))
        assert got.dtype == np.float32
        agree(exporter, got, truth(net, images(count)))
        np.testing.assert_allclose(got.sum(axis=1), 1, atol=1e-5)


def test_export_does_not_touch_the_network(exporter, net, tmp_path):
    net.train()
    net.norm.eval()
    before = {name: value.numpy().copy() for name, value in net.state_dict().items()}
    export(exporter, net, tmp_path)
    assert [layer.training for layer in (net, net.conv, net.norm, net.drop)] == [True, True, False, True]
    for name, value in net.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), before[name])
    loss = net(paddle.to_tensor(images(4))).sum()
    loss.backward()
    assert net.conv.weight.grad is not None


def test_files_can_be_moved_and_network_forgotten(exporter, net, tmp_path):
    (tmp_path / "a").mkdir()
    export(exporter, net, tmp_path / "a")
    expected = truth(net, images(3))
    del net
    (tmp_path / "a").rename(tmp_path / "b")
    agree(exporter, exporter.session(tmp_path / "b", threads=2)(images(3)), expected)
    assert not (tmp_path / "a").exists()


def test_a_second_export_replaces_the_first(exporter, net, tmp_path):
    export(exporter, net, tmp_path)
    first = sorted(path.name for path in tmp_path.iterdir())
    net.head.bias.set_value(net.head.bias + paddle.to_tensor([3.0, 0.0, 0.0, 0.0]))
    export(exporter, net, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == first
    agree(exporter, exporter.session(tmp_path)(images(3)), truth(net, images(3)))


def test_session_is_safe_in_threads(exporter, net, tmp_path):
    export(exporter, net, tmp_path)
    session = exporter.session(tmp_path)
    batches = [images(count) for count in (1, 2, 3, 8)]
    expected = [truth(net, batch) for batch in batches]
    worst = []

    def work(index):
        for _ in range(40):
            worst.append(float(np.abs(session(batches[index]) - expected[index]).max()))

    threads = [threading.Thread(target=work, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(worst) == 160
    assert max(worst) < (1e-5 if type(exporter).exact else 0.05)


def test_unusable_folders_and_devices(exporter, net, tmp_path):
    with pytest.raises(BundleError, match="nowhere"):
        exporter.session(tmp_path / "nowhere")
    export(exporter, net, tmp_path)
    with pytest.raises(ConfigError, match="device"):
        exporter.session(tmp_path, device="quantum")
