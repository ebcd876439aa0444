"""Where the fast path does not fit, Paddle's own operators give their own results, and the log says why, once."""

import logging
import subprocess
import sys

import kernels_helpers as helpers
import numpy as np
import paddle
import pytest
from paddle import nn

from paddle_automl.core.errors import UnsupportedError
from paddle_automl.models import kernels
from paddle_automl.models.kernels import elementwise, layers, library, memory, mode, selftest
from paddle_automl.models.kernels.primitives import CACHE


class Net(nn.Layer):
    """Every kind of fast layer."""

    def __init__(self):
        super().__init__()
        self.first = layers.Conv2D(3, 8, 3, padding=1, bias_attr=False)
        self.norm = layers.BatchNorm2D(8)
        self.relu = layers.ReLU()
        self.pool = layers.MaxPool2D(2)
        self.second = layers.Conv2D(8, 8, 3, padding=1, groups=2)
        self.act = layers.Hardswish()
        self.globally = layers.AdaptiveAvgPool2D(1)
        self.fc = layers.Linear(16, 4)

    def forward(self, x):
        x = self.pool(layers.norm_act(self.norm, self.relu, self.first(x)))
        one, two = layers.fork(x)
        x = layers.add_act(one, self.second(two), self.relu)
        x = layers.concat([self.act(x), layers.add(x, x)])
        return self.fc(self.globally(x).flatten(1))


def images():
    return paddle.to_tensor(helpers.normal(np.random.default_rng(1), 4, 3, 6, 6))


def results(net, dtype):
    for parameter in net.parameters():
        parameter.clear_gradient()
    with kernels.use(dtype):
        y = net(images())
    y.square().sum().backward()
    return [y.numpy(), *(p.grad.numpy() for p in net.parameters() if not p.stop_gradient)]


@pytest.fixture
def net(monkeypatch):
    monkeypatch.setattr(layers.convolution, "SMALL_PRODUCT", 0)
    paddle.seed(3)
    return Net()


@pytest.fixture
def messages(caplog, monkeypatch):
    monkeypatch.setattr(mode, "_said", set())
    caplog.set_level(logging.INFO, logger="paddle_automl")
    return caplog


@pytest.fixture
def reload(monkeypatch):
    """Makes the library be looked for again, and afterwards as it was."""
    monkeypatch.setattr(library, "_loaded", [])


def assert_plain(net, dtype="float32"):
    """The very same numbers as outside of the context."""
    state = {name: tensor.numpy() for name, tensor in net.state_dict().items()}
    before = results(net, None)
    net.set_state_dict(state)
    uses = len(CACHE)
    for one, other in zip(results(net, dtype), before, strict=True):
        np.testing.assert_array_equal(one, other)
    assert len(CACHE) == uses


@helpers.needs("float32")
def test_a_whole_network_agrees_with_paddle(net):
    state = {name: tensor.numpy() for name, tensor in net.state_dict().items()}
    expected = results(net, None)
    for dtype, tolerance in (("float32", 1e-4), ("bfloat16", 0.06)):
        if kernels.unsupported(dtype):
            continue
        net.set_state_dict(state)
        for one, other in zip(results(net, dtype), expected, strict=True):
            assert helpers.error(one, other) < tolerance


class TestReasons:
    def test_switched_off(self, net, reload, monkeypatch, messages):
        monkeypatch.setenv(library.DISABLED_BY, "0")
        assert_plain(net)
        assert_plain(net, "bfloat16")
        assert sum("PADDLE_AUTOML_KERNELS=0" in m for m in messages.messages) == 2  # once for each type asked for
        with kernels.use("float32") as dtype:
            assert dtype is None
            assert kernels.active() is None

    def test_no_library(self, net, reload, monkeypatch, messages, tmp_path):
        monkeypatch.setattr(library.paddle, "__file__", str(tmp_path / "__init__.py"))
        assert_plain(net)
        assert "no libdnnl.so.3" in messages.messages[0]

    def test_a_file_that_is_no_library(self, net, reload, monkeypatch, messages, tmp_path):
        (tmp_path / "libs").mkdir()
        (tmp_path / "libs" / "libdnnl.so.3").write_bytes(b"nothing")
        monkeypatch.setattr(library.paddle, "__file__", str(tmp_path / "__init__.py"))
        assert_plain(net)
        assert "cannot be loaded" in messages.messages[0]

    @helpers.needs("float32")
    def test_another_version(self, net, reload, monkeypatch, messages):
        monkeypatch.setattr(library.Library, "_read_version", lambda self: (4, 0, 1))
        assert_plain(net)
        assert "oneDNN 4.0.1 is not version 3" in messages.messages[0]

    @helpers.needs("float32")
    def test_other_numbers_of_algorithms(self, net, reload, monkeypatch, messages):
        monkeypatch.setitem(library.ALGORITHMS, "eltwise_relu", 33)
        assert_plain(net)
        assert "algorithm 33 is 'eltwise_tanh'" in messages.messages[0]

    def test_another_platform(self, net, reload, monkeypatch, messages):
        monkeypatch.setattr(library.platform, "machine", lambda: "aarch64")
        assert_plain(net)
        assert "aarch64" in messages.messages[0]

    @helpers.needs("float32")
    def test_a_processor_without_avx2(self, net, monkeypatch, messages):
        monkeypatch.setattr(mode, "processor_flags", lambda: frozenset({"sse4_2", "avx"}))
        assert_plain(net)
        assert "AVX2" in messages.messages[0]

    @helpers.needs("float32")
    def test_a_processor_without_bfloat16_computes_in_float32(self, net, monkeypatch, messages):
        monkeypatch.setattr(mode, "processor_flags", lambda: frozenset({"avx2", "fma", "avx512f"}))
        with kernels.use("bfloat16") as dtype:
            assert dtype == "float32"
            y = net.first(images())
        assert memory.known(y).dtype == paddle.float32
        assert [m for m in messages.messages if "bfloat16" in m] == messages.messages

    def test_an_unknown_type(self):
        assert "no fast path for float16" in kernels.unsupported("float16")

    @helpers.needs("float32")
    def test_a_failed_self_test(self, net, monkeypatch, messages):
        monkeypatch.setattr(selftest, "_results", {})
        wrong = dict.fromkeys(selftest.TESTS, lambda dtype: [("x", np.ones(3), np.full(3, 1.1))])
        monkeypatch.setattr(selftest, "TESTS", wrong)
        assert_plain(net)
        assert sum("self-test" in m for m in messages.messages) == len(wrong)
        assert_plain(net)
        assert sum("self-test" in m for m in messages.messages) == len(wrong)

    @helpers.needs("float32")
    def test_a_self_test_finds_wrong_numbers(self, monkeypatch):
        monkeypatch.setattr(selftest, "_results", {})
        assert selftest.passed("activation", paddle.float32)
        monkeypatch.setattr(selftest, "_results", {})
        monkeypatch.setattr(elementwise, "SILU", elementwise.SIGMOID)
        assert not selftest.passed("activation", paddle.float32)

    @helpers.needs("float32")
    def test_an_operation_that_the_library_lacks(self, net, monkeypatch, messages):
        def fail(make, *key):
            raise UnsupportedError("oneDNN gives status 3")

        selftests = [selftest.passed(kind, paddle.float32) for kind in selftest.TESTS]
        assert all(selftests)
        monkeypatch.setattr(CACHE, "get", fail)
        monkeypatch.setattr(layers.fast, "plain", lambda x: x)
        assert_plain(net)
        assert any("status 3" in m for m in messages.messages)


@helpers.needs("float32")
class TestInputs:
    """Inputs that are not for the fast path."""

    def test_other_types(self):
        with kernels.use("float32"):
            assert layers.ReLU()(paddle.to_tensor([-1.0, 2.0], dtype="float64")).tolist() == [0, 2]

    def test_an_empty_batch(self):
        with kernels.use("float32"):
            assert layers.ReLU()(paddle.zeros([0, 3, 2, 2])).shape == [0, 3, 2, 2]

    def test_padding_by_name_and_other_modes(self, messages):
        x = images()
        for options in (
            {"padding": 1, "padding_mode": "reflect"},
            {"padding": [[0, 0], [0, 0], [1, 2], [0, 1]]},
        ):
            fast, plain = layers.Conv2D(3, 4, 3, **options), nn.Conv2D(3, 4, 3, **options)
            fast.set_state_dict(plain.state_dict())
            with kernels.use("float32"):
                np.testing.assert_array_equal(fast(x).numpy(), plain(x).numpy())
        assert len(messages.messages) == 1

    def test_same_padding_depends_on_the_size(self, messages):
        rng = np.random.default_rng(0)
        shapes = (((8, 7), 3, 2), ((5, 6), 5, 2), ((1, 2), 3, 2), ((6, 6), 3, 1), ((9, 4), 1, 3))
        for size, kernel, stride in shapes:
            plain = nn.Conv2D(4, 4, kernel, stride=stride, padding="SAME", groups=2, bias_attr=False)
            fast = layers.Conv2D(4, 4, kernel, stride=stride, padding="SAME", groups=2, bias_attr=False)
            fast.set_state_dict(plain.state_dict())
            x = paddle.to_tensor(helpers.normal(rng, 2, 4, *size), stop_gradient=False)
            same = x.detach().clone()
            same.stop_gradient = False
            with kernels.use("float32"):
                y = fast(same)
            expected = plain(x)
            np.testing.assert_allclose(y.numpy(), expected.numpy(), atol=1e-5)
            y.sum().backward()
            expected.sum().backward()
            np.testing.assert_allclose(same.grad.numpy(), x.grad.numpy(), atol=1e-5)
        assert not messages.messages

    def test_other_pools(self):
        x = images()
        with kernels.use("float32"):
            y, mask = layers.MaxPool2D(2, return_mask=True)(x)
            assert mask.shape == y.shape
            assert layers.AdaptiveAvgPool2D(2)(x).shape == [4, 3, 2, 2]
            assert layers.AvgPool2D(2, divisor_override=3)(x).shape == [4, 3, 3, 3]

    def test_batch_norm_of_vectors_or_without_parameters(self):
        x = paddle.to_tensor(helpers.normal(np.random.default_rng(1), 6, 5))
        with kernels.use("float32"):
            assert layers.BatchNorm1D(5)(x).shape == [6, 5]
            free = layers.BatchNorm2D(3, weight_attr=False, bias_attr=False)
            assert abs(float(free(images()).mean())) < 1e-5
            fixed = layers.BatchNorm2D(3, use_global_stats=True)
            assert helpers.error(fixed(images()).numpy(), images().numpy()) < 1e-4

    def test_gradients_through_running_statistics(self):
        fast, plain = layers.BatchNorm2D(3), nn.BatchNorm2D(3)
        fast.eval()
        plain.eval()
        x = helpers.normal(np.random.default_rng(1), 4, 3, 2, 2)
        helpers.compare(fast, plain, [x], "float32")


@helpers.needs("float32")
class TestTracing:
    """A traced or exported network is an ordinary one."""

    @pytest.mark.parametrize("inside", [False, True])
    def test_export(self, net, tmp_path, inside):
        net.eval()
        expected = net(images()).numpy()
        with kernels.use("float32" if inside else None):
            paddle.jit.save(net, str(tmp_path / "net"), [paddle.static.InputSpec([None, 3, 6, 6], "float32")])
        found = paddle.jit.load(str(tmp_path / "net"))(images())
        np.testing.assert_allclose(found.numpy(), expected, atol=1e-5)

    def test_traced_training_inside_the_context(self, net):
        state = {name: tensor.numpy() for name, tensor in net.state_dict().items()}
        expected = results(net, None)
        net.set_state_dict(state)
        traced = paddle.jit.to_static(net, full_graph=True)
        for one, other in zip(results(traced, "float32"), expected, strict=True):
            assert helpers.error(one, other) < 1e-4

    def test_weights_fit_a_network_of_paddle(self, net):
        plain = nn.Conv2D(8, 8, 3, padding=1, groups=2)
        plain.set_state_dict(net.second.state_dict())
        assert net.second.weight.shape == [8, 4, 3, 3]
        assert sorted(net.norm.state_dict()) == ["_mean", "_variance", "bias", "weight"]


@pytest.mark.parametrize("dtype", helpers.DTYPES)
class TestContext:
    def test_a_self_test_at_the_first_evaluation(self, dtype, net, monkeypatch):
        monkeypatch.setattr(selftest, "_results", {})
        with paddle.no_grad(), kernels.use(dtype):
            net(images())
        assert len(selftest._results) == len(selftest.TESTS)
        assert all(selftest._results.values())

    def test_only_this_thread(self, dtype):
        import threading

        seen = []
        with kernels.use(dtype):
            thread = threading.Thread(target=lambda: seen.append(kernels.active()))
            thread.start()
            thread.join()
        assert seen == [None]

    def test_nested_and_left_by_an_exception(self, dtype):
        with kernels.use(dtype):
            with kernels.use(None):
                assert kernels.active() is None
            with pytest.raises(KeyError), kernels.use("float32"):
                raise KeyError
            assert kernels.active() == mode.DTYPES[dtype]
        assert kernels.active() is None

    def test_evaluation_without_gradients(self, dtype, net):
        net.eval()
        expected = net(images())
        with paddle.no_grad(), kernels.use(dtype):
            found = net(images())
        assert found.stop_gradient
        assert helpers.error(found.numpy(), expected.numpy()) < helpers.TOLERANCE[dtype]

    def test_hooks_of_a_fused_layer_are_called(self, dtype, net):
        seen = []
        for layer in (net.norm, net.relu):
            layer.register_forward_post_hook(lambda *call: seen.append(type(call[0]).__name__))
        with kernels.use(dtype):
            net(images())
        assert seen == ["BatchNorm2D", "ReLU", "ReLU"]


@helpers.needs("float32")
@pytest.mark.parametrize("statement", ["y.sum().backward()", "raise SystemExit(3)"])
def test_the_interpreter_ends_in_peace(statement):
    code = (
        "import paddle; from paddle_automl.models import kernels; from paddle_automl.models.kernels import layers\n"
        "net = layers.Conv2D(3, 4, 3); context = kernels.use('float32'); context.__enter__()\n"
        f"y = net(paddle.rand([2, 3, 8, 8])); kernels.set_threads(1); {statement}"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == (3 if "Exit" in statement else 0), run.stderr
    assert "Exception ignored" not in run.stderr
