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
from paddle_automl.inputs.base import TensorSpec
from paddle_automl.tasks.base import Final

SHAPE = (3, 9, 7)
SPECS = (TensorSpec("image", SHAPE),)


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
    exporter.export(net, folder, specs=SPECS, final=Final("softmax"), calibration=images(64))


def agree(exporter: Exporter, got: np.ndarray, expected: np.ndarray) -> None:
    """An 8-bit format answers nearly the same."""
    np.testing.assert_allclose(got, expected, atol=1e-5 if type(exporter).exact else 0.05)


def images(count: int) -> dict[str, np.ndarray]:
    return {"image": np.random.default_rng(count).normal(0, 2, (count, *SHAPE)).astype("float32")}


def truth(net: Net, batch: dict[str, np.ndarray]) -> np.ndarray:
    net.eval()
    return nn.functional.softmax(net(paddle.to_tensor(batch["image"])), axis=-1).numpy()


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
    loss = net(paddle.to_tensor(images(4)["image"])).sum()
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


class TwoInputs(nn.Layer):
    """Numbers and ids to three raw outputs."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(20, 4)
        self.head = nn.Linear(4, 3)

    def forward(self, numbers, ids):
        return self.head(numbers + self.embedding(ids).mean(axis=1))


TWO = (TensorSpec("numbers", (4,)), TensorSpec("ids", (None,), "int64"))
FINALS = [
    Final("sigmoid"),
    Final("identity"),
    Final("identity", scale=(2.0, 300.0, 0.5), shift=(-1.0, 1000.0, 0.0)),
    Final("softmax", scale=(100.0, 100.0, 100.0)),
]


def two(count: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(count)
    numbers = rng.normal(0, 1, (count, 4)).astype("float32")
    # Another order than the network's arguments: a session takes its arrays by name.
    return {"ids": rng.integers(0, 20, (count, 2 + count % 3)), "numbers": numbers}


@pytest.mark.parametrize("final", FINALS, ids=str)
def test_last_steps_and_arrays_by_name(exporter, final, tmp_path):
    paddle.seed(2)
    net = TwoInputs()
    exporter.export(net, tmp_path, specs=TWO, final=final, calibration=two(48))
    session = exporter.session(tmp_path)
    scale = max(final.scale or (1.0,))
    for count in (1, 5):
        arrays = two(count)
        raw = net(paddle.to_tensor(arrays["numbers"]), paddle.to_tensor(arrays["ids"])).numpy()
        agree(exporter, session({**arrays, "unused": np.zeros(3)}) / scale, final(raw) / scale)
    with pytest.raises(ValueError, match="the network takes the arrays numbers, ids; got ids: numbers is missing"):
        session({"ids": two(3)["ids"]})


def test_an_array_that_the_network_does_not_use_is_refused(exporter, tmp_path):
    class Ignoring(nn.Layer):
        def __init__(self):
            super().__init__()
            self.head = nn.Linear(4, 3)

        def forward(self, numbers, ids):
            return self.head(numbers)

    with pytest.raises(UnsupportedError, match=r"does not use all of its arrays \(numbers, ids\)"):
        exporter.export(Ignoring(), tmp_path, specs=TWO, final=Final("softmax"), calibration=two(8))


def test_too_many_arrays_are_refused(exporter, net, tmp_path):
    many = [TensorSpec(f"array{index}", (3,)) for index in range(5)]
    with pytest.raises(UnsupportedError, match="a network may take 1 to 4 arrays, got 5: array0, array1"):
        exporter.export(net, tmp_path, specs=many, final=Final("softmax"), calibration=images(4))


def test_threads_beyond_the_machine_are_refused(exporter, net, tmp_path):
    export(exporter, net, tmp_path)
    for threads, need in ((0, "at least 1, got 0"), (100_000, "at most .* on this machine, got 100000")):
        with pytest.raises(ConfigError, match=f"threads: must be {need}"):
            exporter.session(tmp_path, threads=threads)
