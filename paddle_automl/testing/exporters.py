"""The contract of exporters."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import paddle
import pytest
from paddle import Tensor, nn

from paddle_automl.core.errors import BundleError, ConfigError, UnsupportedError
from paddle_automl.deployment.exporters.base import Exporter, Session
from paddle_automl.inputs.base import Arrays, TensorSpec
from paddle_automl.tasks.base import Final
from paddle_automl.testing.options import check_options

SHAPE = (3, 9, 7)
IMAGES = (TensorSpec("image", SHAPE),)
PAIRS = (TensorSpec("numbers", (4,)), TensorSpec("ids", (None,), "int64"))
FINALS = (
    Final("sigmoid"),
    Final("identity"),
    Final("identity", scale=(2.0, 300.0, 0.5), shift=(-1.0, 1000.0, 0.0)),
    Final("softmax", scale=(100.0, 100.0, 100.0)),
)


class ImageNetwork(nn.Layer):
    """Layers that behave differently in training: dropout and batch norm; four raw outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2D(3, 5, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2D(5)
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(5, 4)

    def forward(self, images: Tensor) -> Tensor:
        """Return raw outputs [N, 4] of images [N, 3, H, W]."""
        x = nn.functional.hardswish(self.norm(self.conv(images)))
        return self.head(self.drop(nn.functional.adaptive_avg_pool2d(x, 1).flatten(1)))


class PairNetwork(nn.Layer):
    """Numbers and ids to three raw outputs; with `used` false the ids are ignored."""

    def __init__(self, used: bool = True) -> None:
        super().__init__()
        self.used = used
        self.embedding = nn.Embedding(20, 4)
        self.head = nn.Linear(4, 3)

    def forward(self, numbers: Tensor, ids: Tensor) -> Tensor:
        """Return raw outputs [N, 3] of numbers [N, 4] and ids [N, any]."""
        return self.head(numbers + self.embedding(ids).mean(axis=1) if self.used else numbers)


def images(count: int) -> dict[str, np.ndarray]:
    """Return random images for `ImageNetwork`."""
    return {"image": np.random.default_rng(count).normal(0, 2, (count, *SHAPE)).astype("float32")}


def pairs(count: int) -> dict[str, np.ndarray]:
    """Return random arrays for `PairNetwork`, in another order than its arguments: sessions use names."""
    rng = np.random.default_rng(count)
    numbers = rng.normal(0, 1, (count, 4)).astype("float32")
    return {"ids": rng.integers(0, 20, (count, 2 + count % 3)), "numbers": numbers}


class ExporterContract:
    """Tests of an exporter: parametrize `plugin` with its class; `options` are its required options, if any.

    An exporter whose packages are not installed is skipped. One that is not exact may differ by `rounding`.
    """

    options: ClassVar[dict[str, Any]] = {}
    rounding: ClassVar[float] = 0.05

    @pytest.fixture
    def exporter(self, plugin: type[Exporter]) -> Exporter:
        """Return the exporter with its options."""
        try:
            plugin.require()
        except UnsupportedError as error:
            pytest.skip(str(error))
        return plugin(plugin.Config(name=plugin.name, **self.options))

    @pytest.fixture
    def network(self) -> ImageNetwork:
        """Return a network of images in training mode."""
        paddle.seed(1)
        return ImageNetwork()

    def export(self, exporter: Exporter, network: nn.Layer, folder: Path) -> None:
        """Export a network of images with softmax."""
        exporter.export(network, folder, specs=IMAGES, final=Final("softmax"), calibration=images(64))

    def expected(self, network: nn.Layer, arrays: Arrays) -> np.ndarray:
        """Return the outputs of the network of images."""
        network.eval()
        outputs: np.ndarray = nn.functional.softmax(network(paddle.to_tensor(arrays["image"])), axis=-1).numpy()
        return outputs

    def tolerance(self, exporter: Exporter) -> float:
        """Return the largest allowed difference of outputs around 1."""
        return 1e-5 if type(exporter).exact else self.rounding

    def same(self, exporter: Exporter, got: np.ndarray, expected: np.ndarray) -> None:
        """Assert that the outputs are those of the network."""
        np.testing.assert_allclose(got, expected, atol=self.tolerance(exporter))

    def test_options_are_described(self, plugin: type[Exporter]) -> None:
        """Class and options have a docstring."""
        check_options(plugin)

    def test_predicts_the_same_for_any_batch(
        self, exporter: Exporter, network: ImageNetwork, tmp_path: Path
    ) -> None:
        """The batch size stays open; names of folders may contain any character."""
        folder = tmp_path / "模型 m"
        folder.mkdir()
        self.export(exporter, network, folder)
        session = exporter.session(folder)
        for count in (1, 5, 2):
            got = session(images(count))
            assert got.dtype == np.float32
            self.same(exporter, got, self.expected(network, images(count)))
            np.testing.assert_allclose(got.sum(axis=1), 1, atol=1e-5)

    def test_does_not_touch_the_network(self, exporter: Exporter, network: ImageNetwork, tmp_path: Path) -> None:
        """Modes, parameters and gradients are as before."""
        network.train()
        network.norm.eval()
        before = {name: value.numpy().copy() for name, value in network.state_dict().items()}
        self.export(exporter, network, tmp_path)
        layers = (network, network.conv, network.norm, network.drop)
        assert [layer.training for layer in layers] == [True, True, False, True]
        for name, value in network.state_dict().items():
            np.testing.assert_array_equal(value.numpy(), before[name])
        network(paddle.to_tensor(images(4)["image"])).sum().backward()
        assert network.conv.weight.grad is not None

    def test_files_can_be_moved_and_the_network_forgotten(
        self, exporter: Exporter, network: ImageNetwork, tmp_path: Path
    ) -> None:
        """Nothing but the files is needed."""
        (tmp_path / "a").mkdir()
        self.export(exporter, network, tmp_path / "a")
        expected = self.expected(network, images(3))
        del network
        (tmp_path / "a").rename(tmp_path / "b")
        self.same(exporter, exporter.session(tmp_path / "b", threads=2)(images(3)), expected)
        assert not (tmp_path / "a").exists()

    def test_a_second_export_replaces_the_first(
        self, exporter: Exporter, network: ImageNetwork, tmp_path: Path
    ) -> None:
        """No file of the first export remains."""
        self.export(exporter, network, tmp_path)
        first = sorted(path.name for path in tmp_path.iterdir())
        network.head.bias.set_value(network.head.bias + paddle.to_tensor([3.0, 0.0, 0.0, 0.0]))
        self.export(exporter, network, tmp_path)
        assert sorted(path.name for path in tmp_path.iterdir()) == first
        self.same(exporter, exporter.session(tmp_path)(images(3)), self.expected(network, images(3)))

    def test_sessions_are_safe_in_threads(self, exporter: Exporter, network: ImageNetwork, tmp_path: Path) -> None:
        """Four threads at once get their own answers."""
        self.export(exporter, network, tmp_path)
        session = exporter.session(tmp_path)
        batches = [images(count) for count in (1, 2, 3, 8)]
        expected = [self.expected(network, batch) for batch in batches]
        worst: list[float] = []

        def work(index: int) -> None:
            for _ in range(40):
                worst.append(float(np.abs(session(batches[index]) - expected[index]).max()))

        threads = [threading.Thread(target=work, args=(index,)) for index in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(worst) == 160
        assert max(worst) < self.tolerance(exporter)

    def test_unusable_folders_devices_and_threads(
        self, exporter: Exporter, network: ImageNetwork, tmp_path: Path
    ) -> None:
        """Each raises an error of the package that names the problem."""
        with pytest.raises(BundleError, match="nowhere"):
            exporter.session(tmp_path / "nowhere")
        self.export(exporter, network, tmp_path)
        with pytest.raises(ConfigError, match="device"):
            exporter.session(tmp_path, device="quantum")
        for threads, need in ((0, "at least 1, got 0"), (100_000, "at most .* on this machine, got 100000")):
            with pytest.raises(ConfigError, match=f"threads: must be {need}"):
                exporter.session(tmp_path, threads=threads)

    @pytest.mark.parametrize("final", FINALS, ids=str)
    def test_last_steps_and_arrays_by_name(self, exporter: Exporter, final: Final, tmp_path: Path) -> None:
        """Every last step of a task is exported; arrays are found by name, and others ignored."""
        session, network = self._pair_session(exporter, final, tmp_path)
        # Each output by itself: a scale of 300 beside it is no reason to be inexact.
        scale = np.asarray(final.scale or 1.0, dtype=np.float32)
        for count in (1, 5):
            arrays = pairs(count)
            raw = network(paddle.to_tensor(arrays["numbers"]), paddle.to_tensor(arrays["ids"])).numpy()
            self.same(exporter, session({**arrays, "unused": np.zeros(3)}) / scale, final(raw) / scale)
        with pytest.raises(ValueError, match="takes the arrays numbers, ids; got ids: numbers is missing"):
            session({"ids": pairs(3)["ids"]})

    def _pair_session(self, exporter: Exporter, final: Final, folder: Path) -> tuple[Session, nn.Layer]:
        paddle.seed(2)
        network = PairNetwork()
        exporter.export(network, folder, specs=PAIRS, final=final, calibration=pairs(48))
        return exporter.session(folder), network

    def test_an_array_that_is_not_used_is_refused(self, exporter: Exporter, tmp_path: Path) -> None:
        """Files must not declare an array that they do not use."""
        with pytest.raises(UnsupportedError, match=r"does not use all of its arrays \(numbers, ids\)"):
            exporter.export(
                PairNetwork(used=False), tmp_path, specs=PAIRS, final=Final("softmax"), calibration=pairs(8)
            )

    def test_too_many_arrays_are_refused(self, exporter: Exporter, network: ImageNetwork, tmp_path: Path) -> None:
        """Paddle traces a fixed number of arguments."""
        many = [TensorSpec(f"array{index}", (3,)) for index in range(5)]
        with pytest.raises(UnsupportedError, match="a network may take 1 to 4 arrays, got 5: array0, array1"):
            exporter.export(network, tmp_path, specs=many, final=Final("softmax"), calibration=images(4))
