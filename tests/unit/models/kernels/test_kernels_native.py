"""The compiled operations against Paddle's, with unusual shapes, and what happens without them."""

import logging
import shutil
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import kernels_helpers as helpers
import numpy as np
import paddle
import pytest
from paddle import nn

from paddle_automl.core.errors import UnsupportedError
from paddle_automl.models import kernels
from paddle_automl.models.kernels import layers, native
from paddle_automl.models.kernels.primitives import CACHE
from paddle_automl.models.whitening import Whitening

DTYPES = [
    pytest.param(
        name, marks=pytest.mark.skipif(not native.available(dtype), reason=f"no compiled operations in {name} here")
    )
    for name, dtype in (("float32", paddle.float32), ("bfloat16", paddle.bfloat16))
]
SHAPES = [
    *((1, 1, 1, 2), (2, 3, 5, 1), (3, 12, 7, 5), (5, 16, 3, 3), (2, 24, 9, 7), (3, 100, 5, 5), (9, 32, 23, 25)),
    *((27, 8, 19, 1), (1, 24, 9, 19), (1, 12, 11, 31), (2, 129, 3, 3), (9, 24, 23, 25)),
]
"""The second line has values beside whole blocks: with the first four shapes the last piece is a multiple of the
blocks that are processed at once, the last one has several pieces."""
COMPILED = [path for s in EXTENSION_SUFFIXES for path in Path(native.__file__).parent.glob(f"_native{s}")]
"""The file that was compiled for this Python, if it was."""


class NormGelu(nn.Layer):
    def __init__(self, package, channels, *, scaled=True):
        super().__init__()
        self.norm = package.BatchNorm2D(channels, momentum=0.6)
        self.act = package.GELU(approximate=True)
        if not scaled and package is layers:
            self.norm.weight.stop_gradient = True

    def forward(self, x):
        return layers.norm_act(self.norm, self.act, x)


def inputs(shape):
    return [helpers.normal(np.random.default_rng(2), *shape) * 2 + 1]


@pytest.fixture
def used(monkeypatch):
    """Names of the compiled functions that were called."""
    names, call = [], native.call
    monkeypatch.setattr(native, "call", lambda name, *arguments: (names.append(name), call(name, *arguments))[1])
    return names


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_batch_norm_with_gelu_in_one_pass(shape, dtype, used):
    helpers.compare(NormGelu(layers, shape[1]), NormGelu(nn, shape[1]), inputs(shape), dtype)
    assert used == ["norm_forward", "norm_backward"]


@pytest.mark.parametrize("dtype", DTYPES)
def test_gelu(dtype, used):
    for shape in ((1, 1, 1, 1), (3, 5, 7, 11), (9, 32, 23, 25)):
        helpers.compare(layers.GELU(approximate=True), nn.GELU(approximate=True), inputs(shape), dtype)
    assert used == ["gelu_forward", "gelu_backward"] * 3


@pytest.mark.parametrize("dtype", DTYPES)
def test_gelu_of_large_numbers(dtype):
    x = paddle.to_tensor(np.float32([-3e4, -100, -12, -6, 0, 6, 12, 100, 3e4]), stop_gradient=False)
    with kernels.use(dtype):
        y = layers.GELU(approximate=True)(x)
    y.sum().backward()
    assert np.abs(y.numpy() - np.maximum(x.numpy(), 0)).max() < 1e-7
    assert np.abs(x.grad.numpy() - [0, 0, 0, 0, 0.5, 1, 1, 1, 1]).max() < 1e-4
    with kernels.use(dtype):
        assert np.isnan(layers.GELU(approximate=True)(paddle.to_tensor([float("nan")])).numpy())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("channels", "kernel"), [(3, 2), (1, 4)])
def test_gradient_of_the_bias_of_the_whitening(channels, kernel, dtype, used):
    """The other gradients are not computed."""
    layer, act = Whitening(channels, kernel), layers.GELU(approximate=True)
    layer.bias.set_value(helpers.normal(np.random.default_rng(3), layer.out_channels) / 4)
    images = paddle.to_tensor(helpers.normal(np.random.default_rng(4), 5, channels, 9, 8))
    dy = paddle.to_tensor(helpers.normal(np.random.default_rng(5), 5, layer.out_channels, 10 - kernel, 9 - kernel))
    found = []
    for kind in (None, dtype):
        layer.bias.clear_gradient()
        with kernels.use(kind):
            y = kernels.plain(layer.activated(images, act))
        (y * dy).sum().backward()
        found.append((y.numpy(), layer.bias.grad.numpy()))
    assert used == ["gelu_forward", "gelu_bias"]
    for plain, fast in zip(*found, strict=True):
        assert helpers.error(fast, plain) < helpers.TOLERANCE[dtype]
    layer.bias.stop_gradient = True
    with kernels.use(dtype):
        y = layer.activated(images, act)
    assert y.stop_gradient
    assert helpers.error(kernels.plain(y).numpy(), found[0][0]) < helpers.TOLERANCE[dtype]


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_fixed_scale_and_the_number_of_threads_change_nothing(dtype):
    shape = (9, 24, 23, 25)
    dy = helpers.normal(np.random.default_rng(5), *shape)
    found = []
    for scaled, threads in ((True, 1), (False, 1), (True, 2)):
        kernels.set_threads(threads)
        try:
            y, gradients = helpers.run(NormGelu(layers, 24, scaled=scaled), inputs(shape), dtype, dy)
        finally:
            kernels.set_threads(1)
        assert ("norm.weight" in gradients) == scaled
        found.append((y, gradients["input 0"], gradients["norm.bias"]))
    for other in found[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(found[0], other, strict=True))


@pytest.mark.parametrize("dtype", helpers.DTYPES)
def test_without_compiled_operations_the_results_are_the_same(dtype, monkeypatch, used):
    """And in evaluation, where statistics are given."""
    monkeypatch.setattr(native, "available", lambda _: False)
    shape = (3, 16, 7, 5)
    fast, plain = NormGelu(layers, 16), NormGelu(nn, 16)
    helpers.compare(fast, plain, inputs(shape), dtype)
    assert not used
    monkeypatch.undo()
    fast.eval()
    plain.eval()
    with paddle.no_grad(), kernels.use(dtype):
        y = kernels.plain(fast(paddle.to_tensor(inputs(shape)[0]))).numpy()
    assert helpers.error(y, plain(paddle.to_tensor(inputs(shape)[0])).numpy()) < helpers.TOLERANCE[dtype]


def convolution(package, channels, out, stride=1, bias=False):
    return package.Conv2D(channels, out, 3, stride=stride, padding=1, bias_attr=None if bias else False)


@pytest.mark.parametrize("dtype", DTYPES[1:])
@pytest.mark.parametrize(
    ("shape", "out"),
    [((1, 16, 1, 1), 16), ((3, 16, 5, 7), 48), ((2, 48, 1, 6), 32), ((5, 32, 6, 3), 64), ((40, 16, 25, 25), 32)],
    ids=str,
)
def test_gradient_of_kernels(shape, out, dtype, used, monkeypatch):
    """The last one is more than is rearranged at once. The library's own gradient is not prepared."""
    monkeypatch.setattr(kernels.convolution, "processor_flags", lambda: frozenset())
    monkeypatch.setattr(kernels.convolution.Convolution, "describe_backward_weights", None)
    CACHE.clear()
    layer, plain = (convolution(package, shape[1], out) for package in (layers, nn))
    helpers.compare(layer, plain, inputs(shape), dtype, tolerance=1e-2)
    assert used == ["filter_gradient"]
    found = []
    for threads in (1, 2):
        layer.weight.clear_gradient(False)
        kernels.set_threads(threads)
        try:
            found.append(helpers.run(layer, inputs(shape), dtype, np.ones([shape[0], out, *shape[2:]], "float32")))
        finally:
            kernels.set_threads(1)
    assert np.array_equal(found[0][1]["weight"], found[1][1]["weight"])


@pytest.mark.parametrize(
    "options", [{"channels": 24}, {"out": 24}, {"stride": 2}, {"bias": True}, {"flags": "amx_bf16"}]
)
@pytest.mark.parametrize("dtype", DTYPES[1:])
def test_gradients_of_other_kernels_are_left_to_the_library(options, dtype, used, monkeypatch):
    options = {"channels": 16, "out": 16, "flags": "", **options}
    flags = frozenset({options.pop("flags")})
    monkeypatch.setattr(kernels.convolution, "processor_flags", lambda: flags)
    CACHE.clear()
    layer, plain = convolution(layers, **options), convolution(nn, **options)
    helpers.compare(layer, plain, inputs((2, options["channels"], 6, 5)), dtype)
    assert not used


def test_hooks_are_called(used):
    net, seen = NormGelu(layers, 16), []
    net.norm.register_forward_post_hook(lambda *_: seen.append("norm"))
    with kernels.use("float32"):
        net(paddle.to_tensor(inputs((2, 16, 3, 3))[0]))
    assert seen == ["norm"]
    assert "norm_forward" not in used


class TestReasons:
    @pytest.fixture(autouse=True)
    def fresh(self, monkeypatch):
        monkeypatch.setattr(native, "_results", {})
        native._library.cache_clear()
        yield
        native._library.cache_clear()

    def test_switched_off(self, monkeypatch, caplog):
        monkeypatch.setenv(native.DISABLED_BY, "0")
        with caplog.at_level(logging.INFO):
            assert not native.available(paddle.float32)
        assert "PADDLE_AUTOML_NATIVE=0" in caplog.text

    def test_another_processor(self, monkeypatch):
        monkeypatch.setattr(native, "processor_flags", lambda: frozenset({"avx2", "fma"}))
        with pytest.raises(UnsupportedError, match="no AVX-512"):
            native._library()

    @pytest.mark.parametrize(
        ("given", "reason"), [(None, "without a C compiler"), ("broken", "cannot be loaded"), ("old", "version")]
    )
    def test_files_that_do_not_fit(self, given, reason, monkeypatch, tmp_path):
        if given == "broken":
            (tmp_path / "_native.so").write_bytes(b"\x7fELF not a library")
        if given == "old":
            if not COMPILED:
                pytest.skip("it was installed without a C compiler")
            shutil.copy(COMPILED[0], tmp_path)
            monkeypatch.setattr(native, "INTERFACE", 0)
        monkeypatch.setattr(native, "__file__", str(tmp_path / "native.py"))
        monkeypatch.setattr(native, "processor_flags", lambda: frozenset(native._FLAGS))
        with pytest.raises(UnsupportedError, match=reason):
            native._library()

    def test_files_of_other_pythons_are_left_alone(self, monkeypatch, tmp_path):
        """Each Python that installs the same folder leaves a file there."""
        (tmp_path / "_native.cpython-30-x86_64-linux-gnu.so").write_bytes(b"\x7fELF of another time")
        monkeypatch.setattr(native, "__file__", str(tmp_path / "native.py"))
        monkeypatch.setattr(native, "processor_flags", lambda: frozenset(native._FLAGS))
        with pytest.raises(UnsupportedError, match="without a C compiler"):
            native._library()
        if COMPILED:
            shutil.copy(COMPILED[0], tmp_path)
            assert native._library()._name == str(tmp_path / COMPILED[0].name)

    @pytest.mark.parametrize("dtype", DTYPES)
    def test_wrong_results(self, dtype, monkeypatch, caplog):
        monkeypatch.setattr(native, "gelu", lambda x: x)
        with caplog.at_level(logging.INFO):
            assert not native.available(kernels.mode.DTYPES[dtype])
        assert "self-test" in caplog.text
