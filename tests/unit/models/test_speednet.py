"""The whitening layer, the dirac start and the network of the speed runs."""

import copy

import numpy as np
import paddle
import pytest
from paddle import nn

from paddle_automl.core.errors import ConfigError
from paddle_automl.core.loading import validate
from paddle_automl.models import kernels, whitening
from paddle_automl.models.config import ModelConfig
from paddle_automl.models.kernels import layers as fast
from paddle_automl.models.network import build_network
from paddle_automl.models.profile import profile
from paddle_automl.models.whitening import Whitening
from paddle_automl.testing.backbones import image_input


def build(size=(8, 8), channels=1, outputs=3, backbone=None, **section):
    options = {"backbone": {"name": "speednet", "width": 0.0625, **(backbone or {})}, **section}
    return build_network(validate(ModelConfig, options), image_input(channels, *size), outputs, seed=0)


def smooth(count, channels, side, seed=0):
    """Return images whose neighbouring pixels are alike, float32 [count, channels, side, side]."""
    noise = np.random.default_rng(seed).normal(size=(count, channels, side + 2, side + 2))
    mean = sum(noise[:, :, i : i + side, j : j + side] for i in range(3) for j in range(3)) / 9
    return mean.astype(np.float32) * 2 + 0.3 * mean[:, :1].astype(np.float32)


@pytest.mark.parametrize(("channels", "kernel"), [(3, 2), (1, 4)])
def test_whitened_maps_are_uncorrelated_and_of_equal_variance(channels, kernel):
    layer, images = Whitening(channels, kernel), paddle.to_tensor(smooth(200, channels, 12))
    layer.measure([images[:120], images[120:]])
    assert layer.out_channels == 2 * channels * kernel * kernel
    maps = layer(images).transpose([0, 2, 3, 1]).reshape([-1, layer.out_channels]).numpy()
    first, second = np.split(maps, 2, axis=1)
    assert np.array_equal(first, -second)
    moments = first.T.astype(np.float64) @ first / len(first)
    variances = np.diag(moments).copy()
    np.fill_diagonal(moments, 0)
    assert np.abs(moments).max() < 1e-3
    # lambda / (lambda + epsilon), from the largest eigenvalue to the smallest.
    assert variances[0] == pytest.approx(1, abs=0.01)
    assert (np.diff(variances) < 1e-4).all()
    assert variances[-1] > 0.5


def test_wide_windows_keep_the_largest_components():
    layer = Whitening(5, 2, stride=2)
    assert layer.out_channels == 32
    layer.measure([paddle.to_tensor(smooth(20, 5, 8))])
    norms = np.linalg.norm(layer.weight.numpy().reshape(32, -1)[:16], axis=1)
    assert (np.diff(norms) > -1e-5).all()
    assert layer(paddle.randn([2, 5, 9, 8])).shape == [2, 32, 4, 4]


def test_signs_of_the_components_are_fixed(monkeypatch):
    layer, images = Whitening(1, 2), paddle.to_tensor(smooth(20, 1, 8))
    layer.measure([images])
    expected, eigh = layer.weight.numpy().copy(), np.linalg.eigh
    monkeypatch.setattr(np.linalg, "eigh", lambda matrix: (eigh(matrix)[0], -eigh(matrix)[1]))
    layer.measure([images])
    assert np.array_equal(layer.weight.numpy(), expected)


def test_not_every_window_of_a_large_image_is_looked_at(monkeypatch):
    layer, images = Whitening(1, 2), smooth(3, 1, 10)
    assert layer._windows(images).shape == (3 * 81, 4)
    monkeypatch.setattr(whitening, "WINDOWS", 30)
    assert layer._windows(images).shape == (3 * 25, 4)


def test_a_constant_direction_does_not_blow_up():
    layer = Whitening(1, 2)
    layer.measure([paddle.full([4, 1, 5, 5], 0.25)])
    assert np.abs(layer.weight.numpy()).max() <= 1 / np.sqrt(5e-4)


def test_statistics_without_images_are_refused():
    with pytest.raises(ConfigError, match="first convolution is computed from training images, but there are none"):
        Whitening(1, 2).measure([])


def test_only_its_bias_is_trained_and_it_is_counted():
    layer = Whitening(1, 2)
    assert [name for name, _ in layer.named_parameters()] == ["bias"]
    assert sorted(layer.state_dict()) == ["bias", "weight"]
    assert profile(layer, image_input(1, 5, 5).specs).flops == 4 * 4 * 8 * (4 + 1)
    assert np.array_equal(copy.deepcopy(layer).weight.numpy(), layer.weight.numpy())


@pytest.mark.skipif(bool(kernels.unsupported("float32")), reason=kernels.unsupported("float32"))
def test_the_fast_path_has_the_same_results_and_gradients():
    model = build((28, 28), norm="batch_norm")
    images = paddle.to_tensor(smooth(8, 1, 28))
    model.prepare([[images]])
    model.train()
    found = []
    for dtype in (None, "float32"):
        with kernels.use(dtype):
            loss = (model(images) * paddle.arange(24).reshape([8, 3]).astype("float32")).sum()
        loss.backward()
        gradients = {n: p.grad.numpy().copy() for n, p in model.named_parameters() if not p.stop_gradient}
        model.clear_gradients()
        found.append((float(loss), gradients))
    (plain, slow), (fast_loss, quick) = found
    assert fast_loss == pytest.approx(plain, rel=1e-4)
    assert slow.keys() == quick.keys()
    for name, gradient in slow.items():
        # Where two pixels are almost equal, rounding decides which one is the maximum and gets the gradient.
        assert np.linalg.norm(quick[name] - gradient) < 0.02 * np.linalg.norm(gradient), name


def test_the_head_is_scaled():
    model = build(outputs=64)
    assert model.fc.bias is None
    assert model.fc.weight.numpy().std() == pytest.approx(1, rel=1e-5)
    images = paddle.to_tensor(smooth(4, 1, 8))
    model.eval()
    unscaled = build(outputs=64, backbone={"feature_scale": 1.0})
    unscaled.eval()
    ratio = unscaled(images).numpy() / model(images).numpy()
    np.testing.assert_allclose(ratio, model.feature_dim, rtol=1e-3)


def test_the_section_has_other_defaults_with_this_backbone():
    config = validate(ModelConfig, {"backbone": "speednet"})
    assert (config.activation, config.norm.momentum, config.initializer) == ("gelu", 0.6, "dirac")
    assert validate(ModelConfig, config.model_dump()) == config
    stated = validate(ModelConfig, {"backbone": "speednet", "activation": "relu", "norm": "batch_norm"})
    assert (stated.activation, stated.norm.momentum, stated.initializer) == ("relu", 0.9, "dirac")
    assert validate(ModelConfig, {}).activation == validate(ModelConfig, {"backbone": "vgg"}).activation == "relu"


def test_norms_and_activations_of_the_section_are_used():
    model = build(norm="group_norm", activation="hardswish")
    kinds = {type(layer) for layer in model.sublayers()}
    assert {fast.GroupNorm, fast.Hardswish} <= kinds
    assert not kinds & {fast.BatchNorm2D, fast.GELU}
    scales = [layer.weight for layer in model.sublayers() if isinstance(layer, nn.GroupNorm)]
    assert not any(scale.stop_gradient for scale in scales)
    assert all(layer.weight.stop_gradient for layer in build().sublayers() if isinstance(layer, nn.BatchNorm2D))


def test_size_decides_about_groups_and_stride():
    def facts(size, channels=3, **backbone):
        found = build((size, size), channels, backbone=backbone).backbone
        return len(found.groups), found.whiten.stride, found.whiten.kernel

    assert facts(8) == facts(27) == (2, 1, 2)
    assert facts(28) == facts(64) == (3, 1, 2)
    assert facts(65) == (3, 2, 2)
    assert facts(200) == (3, 4, 4)
    assert facts(28, channels=1) == (3, 1, 4)
    assert facts(28, groups=1, stem_stride=2) == (1, 2, 2)


@pytest.mark.parametrize(
    ("size", "backbone", "section", "message"),
    [
        ((5, 9), {}, {}, "speednet with 2 groups leaves nothing of an image of 5 x 9 pixels; set a larger"),
        ((3, 3), {}, {}, "leaves nothing"),
        (
            (8, 8),
            {"groups": 3},
            {"norm": "instance_norm"},
            "instance_norm turns maps of 1 x 1 pixels",
        ),
        ((12, 12), {"groups": 6}, {}, "speednet with 6 groups leaves nothing"),
    ],
)
def test_images_that_are_too_small_are_named(size, backbone, section, message):
    with pytest.raises(ConfigError, match=message):
        build(size, backbone=backbone, **section)


def test_dirac_passes_the_input_on():
    layer = build(initializer="dirac").backbone.groups[1].convs[0]
    weights = layer.weight.numpy()
    identity = np.zeros_like(weights)
    identity[np.arange(16), np.arange(16), 1, 1] = 1
    assert np.array_equal(weights, identity)
    x = paddle.randn([2, 16, 5, 5])
    assert np.array_equal(layer(x).numpy(), x.numpy())
