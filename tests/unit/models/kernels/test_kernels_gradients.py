"""Results and gradients of every fast operation are Paddle's, over shapes that hypothesis draws."""

import kernels_helpers as helpers
import numpy as np
import paddle
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from paddle import nn
from paddle.nn import functional as F

from paddle_automl.models import kernels
from paddle_automl.models.kernels import layers, mode
from paddle_automl.models.kernels.primitives import CACHE
from paddle_automl.models.kernels.selftest import TESTS, passed

DRAWN = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
MANY = settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
SIDE = st.integers(1, 11)
pytestmark = helpers.needs("float32")


@pytest.fixture(params=helpers.DTYPES)
def dtype(request):
    return request.param


@pytest.fixture(autouse=True)
def the_fast_path_is_taken(monkeypatch, dtype):
    """A layer that quietly left its work to Paddle would pass any comparison."""
    assert all(passed(kind, mode.DTYPES[dtype]) for kind in TESTS)
    reasons, used = [], []
    get = CACHE.get
    monkeypatch.setattr(layers.fast, "explain", lambda kind, reason: reasons.append((kind, reason)))
    monkeypatch.setattr(CACHE, "get", lambda make, *key: used.append(make) or get(make, *key))
    yield
    assert used
    # Drawn on purpose now and then: a case that oneDNN gets wrong and that is left to Paddle.
    assert not [reason for _, reason in reasons if "only one window" not in str(reason)]


@st.composite
def convolutions(draw, axes):
    """(input shape, options of the layer) that fit each other."""
    groups = draw(st.sampled_from([1, 1, 2, 3, "depthwise"]))
    channels = draw(st.sampled_from([1, 3, 6, 12, 16, 18]))
    if groups == "depthwise":
        groups, out = channels, channels
    else:
        assume(channels % groups == 0)
        out = groups * draw(st.integers(1, 9))
    kernel, stride, dilation = ([draw(st.integers(1, most)) for _ in range(axes)] for most in (5, 3, 2))
    padding = draw(st.sampled_from(["number", "each", "sides"]))
    sizes = [draw(SIDE) for _ in range(axes)]
    pads = [(draw(st.integers(0, 2)), draw(st.integers(0, 2))) for _ in range(axes)]
    if padding == "number":
        pads = [(pads[0][0], pads[0][0])] * axes
    elif padding == "each":
        pads = [(low, low) for low, _ in pads]
    for size, (low, high), width, step in zip(sizes, pads, kernel, dilation, strict=True):
        assume(size + low + high >= step * (width - 1) + 1)
    given = {
        "number": pads[0][0],
        "each": [low for low, _ in pads],
        "sides": [n for pair in pads for n in pair],
    }[padding]
    options = {
        "kernel_size": kernel, "stride": stride, "padding": given, "dilation": dilation, "groups": groups,
        "bias_attr": None if draw(st.booleans()) else False,
    }  # fmt: skip
    return [draw(st.integers(1, 4)), channels, *sizes], out, options


def check_convolution(fast, plain, case, dtype):
    shape, out, options = case
    x = helpers.normal(np.random.default_rng(1), *shape)
    helpers.compare(fast(shape[1], out, **options), plain(shape[1], out, **options), [x], dtype)


class TestConvolution:
    @DRAWN
    @given(case=convolutions(2))
    def test_two_axes(self, dtype, case):
        check_convolution(layers.Conv2D, nn.Conv2D, case, dtype)

    @DRAWN
    @given(case=convolutions(1))
    def test_one_axis(self, dtype, case):
        # Paddle has no padding of different width on both sides for one axis.
        check_convolution(layers.Conv1D, nn.Conv1D, case, dtype)

    @pytest.mark.slow
    @MANY
    @given(case=convolutions(2))
    def test_two_axes_many(self, dtype, case):
        check_convolution(layers.Conv2D, nn.Conv2D, case, dtype)

    @pytest.mark.parametrize("kernel", [3, 5])
    @pytest.mark.parametrize("stride", [1, 2])
    def test_depthwise_of_a_mobile_network(self, dtype, kernel, stride):
        options = {
            "kernel_size": kernel,
            "stride": stride,
            "padding": kernel // 2,
            "groups": 24,
            "bias_attr": False,
        }
        check_convolution(layers.Conv2D, nn.Conv2D, ([4, 24, 14, 14], 24, options), dtype)

    @pytest.mark.parametrize("frozen", ["weight", "bias"])
    def test_only_some_gradients_are_wanted(self, dtype, frozen):
        layer, plain = layers.Conv2D(3, 4, 3), nn.Conv2D(3, 4, 3)
        for one in (layer, plain):
            getattr(one, frozen).stop_gradient = True
        helpers.compare(layer, plain, [helpers.normal(np.random.default_rng(1), 2, 3, 6, 6)], dtype)
        assert getattr(layer, frozen).grad is None


class TestLinear:
    @DRAWN
    @given(
        outer=st.lists(st.integers(1, 5), min_size=1, max_size=3),
        width=st.integers(1, 40),
        out=st.integers(1, 40),
        bias=st.booleans(),
    )
    def test_any_leading_axes(self, dtype, outer, width, out, bias):
        options = {"bias_attr": None if bias else False}
        x = helpers.normal(np.random.default_rng(1), *outer, width)
        fast = layers.Linear(width, out, **options)

        class Low(nn.Layer):
            def __init__(self):
                super().__init__()
                self.inner = fast

            def forward(self, x):
                return fast(x.astype(dtype))

            named_parameters = fast.named_parameters
            state_dict = fast.state_dict
            set_state_dict = fast.set_state_dict

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(layers.convolution, "SMALL_PRODUCT", 0)
            helpers.compare(Low(), nn.Linear(width, out, **options), [x], dtype)


class TestBatchNorm:
    @DRAWN
    @given(
        batch=st.integers(2, 5),
        channels=st.sampled_from([4, 8, 12, 16, 20, 24, 32]),
        sizes=st.lists(SIDE, min_size=1, max_size=2),
        relu=st.booleans(),
        momentum=st.sampled_from([0.0, 0.9, 0.99]),
    )
    def test_training(self, dtype, batch, channels, sizes, relu, momentum):
        assume(batch * np.prod(sizes) >= 8)  # with fewer values the gradient is all rounding
        kinds = (layers.BatchNorm1D, nn.BatchNorm1D) if len(sizes) == 1 else (layers.BatchNorm2D, nn.BatchNorm2D)
        fast, plain = (kind(channels, momentum=momentum, epsilon=1e-3) for kind in kinds)
        x = helpers.normal(np.random.default_rng(2), batch, channels, *sizes)
        if not relu:
            helpers.compare(fast, plain, [x], dtype, tolerance=1e-4 if dtype == "float32" else None)
            return
        helpers.compare(_Both(fast, layers.ReLU()), _Both(plain, nn.ReLU()), [x], dtype,
                        tolerance=1e-4 if dtype == "float32" else 4e-2)  # fmt: skip

    @pytest.mark.parametrize("channels", [12, 16, 24])
    def test_evaluation(self, dtype, channels):
        fast, plain = layers.BatchNorm2D(channels), nn.BatchNorm2D(channels)
        x = paddle.to_tensor(helpers.normal(np.random.default_rng(2), 4, channels, 3, 3))
        plain(x * 3 + 1)
        fast.set_state_dict(plain.state_dict())
        fast.eval()
        plain.eval()
        with paddle.no_grad(), kernels.use(dtype):
            found = [kernels.plain(y) for y in (fast(x), layers.norm_act(fast, layers.ReLU(), x))]
        for one, other in zip(found, (plain(x), F.relu(plain(x))), strict=True):
            assert helpers.error(one.numpy(), other.numpy()) < helpers.TOLERANCE[dtype]


class _Both(nn.Layer):
    def __init__(self, norm, activation):
        super().__init__()
        self.norm, self.activation = norm, activation

    def forward(self, x):
        return layers.norm_act(self.norm, self.activation, x)


@st.composite
def windows(draw, axes):
    kernel = [draw(st.integers(1, 4)) for _ in range(axes)]
    padding = [draw(st.integers(0, width // 2)) for width in kernel]
    sizes = [draw(SIDE) for _ in range(axes)]
    for size, width, pad in zip(sizes, kernel, padding, strict=True):
        assume(size + 2 * pad >= width)
    stride = draw(st.one_of(st.none(), st.lists(st.integers(1, 3), min_size=axes, max_size=axes)))
    options = {"kernel_size": kernel, "stride": stride, "padding": padding, "ceil_mode": draw(st.booleans())}
    steps = kernel if stride is None else stride
    for size, width, pad, step in zip(sizes, kernel, padding, steps, strict=True):
        # Paddle makes a mean of nothing of a window that lies beyond the edge.
        assume(not options["ceil_mode"] or -(-(size + 2 * pad - width) // step) * step < size + pad)
    return [draw(st.integers(1, 3)), draw(st.integers(1, 19)), *sizes], options


class TestPooling:
    @DRAWN
    @given(case=windows(2))
    def test_max(self, dtype, case):
        self.check(layers.MaxPool2D, nn.MaxPool2D, case, dtype)

    @DRAWN
    @given(case=windows(2), exclusive=st.booleans())
    def test_mean(self, dtype, case, exclusive):
        case[1]["exclusive"] = exclusive
        assume(exclusive or not case[1]["ceil_mode"])
        self.check(layers.AvgPool2D, nn.AvgPool2D, case, dtype)

    @DRAWN
    @given(case=windows(1), largest=st.booleans())
    def test_one_axis(self, dtype, case, largest):
        # Paddle's one-dimensional poolings accept lists of one number.
        kinds = (layers.MaxPool1D, nn.MaxPool1D) if largest else (layers.AvgPool1D, nn.AvgPool1D)
        self.check(*kinds, case, dtype)

    @DRAWN
    @given(shape=st.lists(SIDE, min_size=3, max_size=4), largest=st.booleans())
    def test_whole_maps(self, dtype, shape, largest):
        name = f"Adaptive{'Max' if largest else 'Avg'}Pool{len(shape) - 2}D"
        x = self.distinct(shape)
        helpers.compare(getattr(layers, name)(1), getattr(nn, name)(1), [x], dtype)

    def check(self, fast, plain, case, dtype):
        shape, options = case
        helpers.compare(fast(**options), plain(**options), [self.distinct(shape)], dtype)

    def distinct(self, shape):
        """Which of two equal values is the maximum is not defined; bfloat16 has 65,000 different ones."""
        count = int(np.prod(shape))
        bits = np.arange(0x3F00, 0x3F00 + count, dtype=np.uint32) << 16
        return np.random.default_rng(3).permutation(bits.view(np.float32) % 97).reshape(shape)


ACTIVATIONS = {
    "ReLU": {}, "ReLU6": {}, "LeakyReLU": {"negative_slope": 0.1}, "ELU": {"alpha": 0.7}, "Silu": {},
    "Hardswish": {}, "Hardsigmoid": {}, "Mish": {}, "Tanh": {}, "Sigmoid": {}, "Swish": {},
}  # fmt: skip


class TestActivations:
    @pytest.mark.parametrize("name", ACTIVATIONS)
    @settings(DRAWN, max_examples=6)
    @given(shape=st.lists(SIDE, min_size=1, max_size=5))
    def test_any_shape(self, dtype, name, shape):
        x = 3 * helpers.normal(np.random.default_rng(4), *shape)
        options = ACTIVATIONS[name]
        helpers.compare(getattr(layers, name)(**options), getattr(nn, name)(**options), [helpers.rounded(x)], dtype)

    @pytest.mark.parametrize("approximate", [True, False])
    def test_gelu(self, dtype, approximate):
        x = helpers.normal(np.random.default_rng(4), 2, 5, 3, 3)
        # The library's error function is a little less exact than Paddle's.
        tolerance = 1e-4 if dtype == "float32" else None
        helpers.compare(layers.GELU(approximate), nn.GELU(approximate), [x], dtype, tolerance)


class TestJoining:
    @DRAWN
    @given(shape=st.lists(SIDE, min_size=3, max_size=4), relu=st.booleans())
    def test_sum(self, dtype, shape, relu):
        inputs = [helpers.normal(np.random.default_rng(seed), *shape) for seed in (1, 2)]
        if relu:
            helpers.compare(layers.add_relu, lambda a, b: F.relu(a + b), inputs, dtype)
        else:
            helpers.compare(layers.add, lambda a, b: a + b, inputs, dtype)

    @DRAWN
    @given(
        channels=st.lists(st.integers(1, 17), min_size=1, max_size=5),
        batch=st.integers(1, 3),
        sizes=st.lists(SIDE, min_size=1, max_size=2),
    )
    def test_concatenation(self, dtype, channels, batch, sizes):
        inputs = [helpers.normal(np.random.default_rng(n), batch, c, *sizes) for n, c in enumerate(channels)]
        helpers.compare(lambda *maps: layers.concat(maps), lambda *maps: paddle.concat(maps, axis=1), inputs, dtype)

    @DRAWN
    @given(shape=st.lists(SIDE, min_size=3, max_size=4), branches=st.integers(1, 6))
    def test_fork(self, dtype, shape, branches):
        def fast(x):
            total, *rest = layers.fork(layers.add(x, paddle.zeros_like(x)), branches)
            for one in rest:
                total = layers.add(total, one)
            return total

        helpers.compare(fast, lambda x: x * branches, [helpers.normal(np.random.default_rng(1), *shape)], dtype)
