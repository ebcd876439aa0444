"""Feature maps travel without copies, and whatever else a network does to them stays right."""

import kernels_helpers as helpers
import numpy as np
import paddle
import pytest
from paddle import nn
from paddle.nn import functional as F

from paddle_automl.core.errors import UnsupportedError
from paddle_automl.models import kernels
from paddle_automl.models.kernels import layers, memory
from paddle_automl.models.kernels.mode import DTYPES
from paddle_automl.models.kernels.rounding import round_to
from paddle_automl.models.kernels.selftest import TESTS, passed

pytestmark = helpers.needs("float32")


def pair(seed=0):
    """The same convolution twice: fast and of Paddle."""
    paddle.seed(seed)
    fast, plain = layers.Conv2D(3, 6, 3, padding=1), nn.Conv2D(3, 6, 3, padding=1)
    plain.set_state_dict(fast.state_dict())
    return fast, plain


def images(*shape):
    return helpers.normal(np.random.default_rng(1), *shape)


@pytest.fixture
def packed(monkeypatch):
    """Counts the copies between the orders of memory."""
    dtypes = [dtype for name, dtype in DTYPES.items() if not kernels.unsupported(name)]
    assert all(passed(kind, dtype) for kind in TESTS for dtype in dtypes)
    copies = []
    for name in ("_pack", "_unpack"):
        original = getattr(memory, name)
        monkeypatch.setattr(memory, name, lambda *a, _f=original, _n=name: copies.append(_n) or _f(*a))
        kind = getattr(memory, name.title())
        monkeypatch.setattr(kind, "compute", staticmethod(getattr(memory, name)), raising=False)
    return copies


def test_a_chain_of_fast_layers_reorders_its_input_only(packed):
    net = nn.Sequential(
        layers.Conv2D(3, 8, 3), layers.BatchNorm2D(8), layers.ReLU(), layers.MaxPool2D(2), layers.Conv2D(8, 8, 1),
        layers.AdaptiveAvgPool2D(1),
    )  # fmt: skip
    with kernels.use("float32"):
        y = net(paddle.to_tensor(images(2, 3, 8, 8)))
    y.sum().backward()
    assert packed == ["_pack"]
    assert y.is_contiguous()
    assert memory.known(y) is None


def test_values_are_rounded_in_their_memory(packed):
    convolution = layers.Conv2D(3, 8, 3)
    with paddle.no_grad(), kernels.use("float32"):
        y = convolution(paddle.to_tensor(images(2, 3, 8, 8)))
        rounded = round_to(y, 0.01, -128, 127, paddle.float32)
    assert memory.known(rounded) is not None
    assert packed == ["_pack"]
    expected = np.clip(np.rint(y.numpy() / np.float32(0.01)), -128, 127) * 0.01
    assert np.abs(expected).max() > 1.275
    np.testing.assert_allclose(rounded.numpy(), expected, atol=1e-6)


@pytest.mark.parametrize(("dtype", "fixed"), [(paddle.bfloat16, True), (paddle.float32, False)])
def test_values_are_rounded_in_float32_and_without_a_gradient(dtype, fixed):
    with pytest.raises(UnsupportedError, match="only rounded"):
        round_to(paddle.to_tensor(images(2, 3, 8, 8), stop_gradient=fixed), 0.01, -128, 127, dtype)


@pytest.mark.parametrize("dtype", helpers.DTYPES)
def test_a_map_from_elsewhere_is_reordered_once_for_all_its_branches(packed, dtype):
    x = paddle.to_tensor(images(2, 3, 5, 4), stop_gradient=False)
    with kernels.use(dtype):
        one, two = layers.fork(x)
        y = layers.add(layers.ReLU()(one), two)
    y.sum().backward()
    # There and, the gradients added up, back.
    assert packed == ["_pack", "_unpack"]
    assert helpers.error(x.grad.numpy(), 1.0 + (x.numpy() > 0)) < 1e-6


def test_a_result_looks_like_an_ordinary_tensor():
    fast, plain = pair()
    x = paddle.to_tensor(images(2, 3, 5, 4))
    with kernels.use("float32"):
        y = fast(x)
    assert y.shape == [2, 6, 5, 4]
    assert y.dtype == paddle.float32
    assert memory.known(y).shape == [2, 5, 4, 6]
    assert memory.known(y).data_ptr() == y.data_ptr()
    np.testing.assert_allclose(y.numpy(), plain(x).numpy(), atol=1e-5)
    np.testing.assert_allclose(y[1:, ::2].numpy(), plain(x)[1:, ::2].numpy(), atol=1e-5)


def compare(function, fast, plain, dtype="float32"):
    """Run `function` of a layer and images with both layers and compare values and all gradients."""
    found = []
    for layer, chosen in ((fast, dtype), (plain, None)):
        x = paddle.to_tensor(images(2, 3, 5, 4), stop_gradient=False)
        with kernels.use(chosen):
            y = function(layer, x)
        (y * paddle.arange(y.size, dtype="float32").reshape(y.shape)).sum().backward()
        found.append([y, x.grad, layer.weight.grad, layer.bias.grad])
    for one, other in zip(*found, strict=True):
        assert helpers.error(one.numpy(), other.numpy()) < 1e-5


def test_operators_that_know_nothing_of_it():
    compare(lambda conv, x: F.pad(conv(x), [1, 0, 2, 0]).transpose([0, 2, 3, 1]).flatten(1) * 2, *pair())


def test_unaware_operators_between_fast_layers():
    compare(lambda conv, x: conv(F.pad(conv(x)[:, 1:4], [1, 1, 1, 1]) * 0.5), *pair())


def test_branches_of_both_kinds():
    relu = layers.ReLU()

    def net(conv, x):
        y = conv(x)
        return relu(y) + y * y + F.sigmoid(y) + layers.add(y, relu(y))

    compare(net, *pair())


def test_the_gradient_of_a_sum_is_not_shared_by_its_terms():
    def net(conv, x):
        a, b = conv(x), conv(x * 2)
        total = layers.add(a, b)
        # A second gradient arrives at `a`; added in place it must not reach `b`.
        return layers.add(total, layers.ReLU()(a)) + a * 3

    compare(net, *pair())


def test_a_change_in_place_is_seen():
    def net(conv, x):
        y = conv(x)
        y = F.relu_(y)
        return conv(y[:, :3])

    compare(net, *pair())

    def scaled(conv, x):
        y = conv(x)
        y.scale_(0.5)
        return layers.ReLU()(y)

    compare(scaled, *pair())


def test_inputs_in_any_order_of_memory():
    def transposed(conv, x):
        return conv(x.transpose([0, 1, 3, 2]).contiguous().transpose([0, 1, 3, 2]))

    def last(conv, x):
        return conv(x.transpose([0, 2, 3, 1]).contiguous().transpose([0, 3, 1, 2]))

    def cut(conv, x):
        return conv(x[:, :, 1:, :3])

    for function in (transposed, last, cut):
        compare(function, *pair())


def test_channels_last_input_is_not_copied(packed):
    conv = layers.Conv1D(4, 3, 2)
    x = paddle.to_tensor(images(2, 7, 4), stop_gradient=False)
    with kernels.use("float32"):
        y = conv(x.transpose([0, 2, 1]))
    y.sum().backward()
    assert packed == []
    expected = paddle.grad(F.conv1d(x.transpose([0, 2, 1]), conv.weight, conv.bias).sum(), x)[0]
    np.testing.assert_allclose(x.grad.numpy(), expected.numpy(), atol=1e-5)


@pytest.mark.parametrize("dtype", helpers.DTYPES)
def test_hooks_and_retained_gradients_through_operators_of_paddle(dtype):
    fast, plain = pair()
    seen, retained = [], []
    for layer, chosen in ((fast, dtype), (plain, None)):
        x = paddle.to_tensor(images(2, 3, 5, 4), stop_gradient=False)
        with kernels.use(chosen):
            y = layer(x)
        y.register_hook(lambda g: seen.append(g.astype("float32").numpy()))
        y.retain_grads()
        (y.astype("float32") ** 2).sum().backward()
        retained.append(y.grad.astype("float32").numpy())
    for found, expected in (seen, retained):
        assert helpers.error(found, expected) < helpers.TOLERANCE[dtype]


@pytest.mark.parametrize("dtype", helpers.DTYPES)
def test_a_map_that_the_next_fast_layer_takes_has_no_gradient_of_its_own(dtype):
    """Its gradient passes in the memory under the view: a hook that needs it belongs outside of the fast path."""
    seen = []
    with kernels.use(dtype):
        y = layers.Conv2D(3, 6, 3)(paddle.to_tensor(images(2, 3, 5, 4), stop_gradient=False))
        y.register_hook(seen.append)
        z = layers.Conv2D(6, 2, 1)(y)
    kernels.plain(z).sum().backward()
    assert seen == []


@pytest.mark.parametrize("dtype", helpers.DTYPES)
def test_results_of_a_layer_can_be_used_outside_of_the_context(dtype):
    fast, plain = pair()
    x = paddle.to_tensor(images(2, 3, 5, 4))
    with kernels.use(dtype):
        y = fast(x)
    z = layers.Conv2D(6, 2, 1)
    found, expected = z(layers.ReLU()(y)), F.conv2d(F.relu(plain(x)), z.weight, z.bias)
    assert found.dtype == paddle.float32
    assert helpers.error(found.numpy(), expected.numpy()) < helpers.TOLERANCE[dtype]


OPERATIONS = {
    "conv": lambda: layers.Conv2D(3, 4, 3),
    "pool": lambda: layers.MaxPool2D(2),
    "relu": layers.ReLU,
    "norm": lambda: nn.Sequential(layers.Conv2D(3, 4, 1), layers.BatchNorm2D(4)),
    "linear": lambda: layers.Linear(4, 5),
    "add": lambda: lambda x: layers.add(x, x * 2),
    "add_relu": lambda: lambda x: layers.add_relu(x, x * 2),
    "concat": lambda: lambda x: layers.concat([x, x * 2]),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_the_gradient_of_a_gradient_is_refused_and_not_silently_zero(name, monkeypatch):
    monkeypatch.setattr(layers.convolution, "SMALL_PRODUCT", 0)
    layer = OPERATIONS[name]()
    x = paddle.to_tensor(images(2, 3, 4, 4), stop_gradient=False)
    with kernels.use("float32"):
        y = layer(x)
    # Paddle's engine turns an exception of a backward pass into one of its own, with the text inside.
    with pytest.raises(Exception, match=r"outside of kernels\.use"):
        paddle.grad((y * y).sum(), [x], create_graph=True)
