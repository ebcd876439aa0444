"""Attention blocks by hand, and what the options of residual networks add to their blocks."""

import numpy as np
import paddle
import pytest
from paddle import nn

from paddle_automl.core.loading import validate
from paddle_automl.models import kernels
from paddle_automl.models.attention import SqueezeExcitation, attention_block
from paddle_automl.models.config import ModelConfig
from paddle_automl.models.layers import LayerFactory
from paddle_automl.models.network import build_network
from paddle_automl.models.norms import NORMS
from paddle_automl.testing.backbones import image_input

KINDS = ["se", "eca", "cbam"]


def factory():
    return LayerFactory("relu", NORMS["batch_norm"].Config(name="batch_norm"), "kaiming_normal")


def maps(*shape):
    return paddle.to_tensor(np.random.default_rng(0).normal(size=shape).astype("float32"))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def build(**backbone):
    config = validate(ModelConfig, {"backbone": {"name": "resnet", "width": 8, "blocks": [1, 1], **backbone}})
    return build_network(config, image_input(1, 8, 8), 2, seed=0)


def test_squeeze_and_excitation_by_hand():
    block, x = attention_block("se", factory(), 8, reduction=2), maps(2, 8, 3, 3)
    means = x.numpy().mean(axis=(2, 3))
    first, second = (layer.weight.numpy()[:, :, 0, 0] for layer in (block.squeeze, block.excite))
    gates = sigmoid(np.maximum(means @ first.T, 0) @ second.T)
    np.testing.assert_allclose(block(x).numpy(), x.numpy() * gates[:, :, None, None], rtol=1e-5, atol=1e-6)
    hard = SqueezeExcitation(factory(), 8, 2, hard=True)
    hard.excite.weight.set_value(paddle.zeros_like(hard.excite.weight))
    hard.excite.bias.set_value(paddle.full_like(hard.excite.bias, 9.0))
    assert np.array_equal(hard(x).numpy(), x.numpy())


def test_efficient_channel_attention_looks_at_neighbouring_channels():
    block, x = attention_block("eca", factory(), 8), maps(2, 8, 3, 3)
    # log2(8) / 2 + 1 / 2 = 2, and the next odd number is 3.
    assert block.conv.weight.shape == [1, 1, 3, 1]
    padded = np.pad(x.numpy().mean(axis=(2, 3)), ((0, 0), (1, 1)))
    weights = block.conv.weight.numpy()[0, 0, :, 0]
    gates = sigmoid(sum(weights[k] * padded[:, k : k + 8] for k in range(3)))
    np.testing.assert_allclose(block(x).numpy(), x.numpy() * gates[:, :, None, None], rtol=1e-5, atol=1e-6)
    assert sum(p.size for p in block.parameters()) == 3


def test_cbam_weights_channels_and_then_pixels():
    block, x = attention_block("cbam", factory(), 8, reduction=2), maps(2, 8, 3, 3)
    first, second = (layer.weight.numpy()[:, :, 0, 0] for layer in (block.squeeze, block.excite))
    values = x.numpy()
    gates = sigmoid(
        sum(np.maximum(found @ first.T, 0) @ second.T for found in (values.mean((2, 3)), values.max((2, 3))))
    )
    values = values * gates[:, :, None, None]
    summary = np.stack([values.mean(axis=1), values.max(axis=1)], axis=1)
    pixels = sigmoid(block.pixels(paddle.to_tensor(summary)).numpy())
    np.testing.assert_allclose(block(x).numpy(), values * pixels, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_fast_layers_compute_the_same(kind):
    results = []
    for mode in (None, "float32"):
        paddle.seed(0)
        block, x = attention_block(kind, factory(), 16), maps(2, 16, 5, 5)
        x.stop_gradient = False
        with kernels.use(mode):
            y = block(x)
        y.square().sum().backward()
        results.append([y.numpy(), x.grad.numpy(), *(p.grad.numpy() for p in block.parameters())])
    for plain, fast in zip(*results, strict=True):
        np.testing.assert_allclose(fast, plain, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "backbone", [{"name": "resnet"}, {"name": "resnet", "order": "pre"}, {"name": "mobilenet"}]
)
def test_attention_adds_tensors_and_leaves_the_others_their_names(backbone):
    plain = set(build(**backbone).state_dict())
    for kind in KINDS:
        network = build(**backbone, attention=kind)
        added = set(network.state_dict()) - plain
        assert added
        assert plain < set(network.state_dict())
        assert all(".residual.attention." in name for name in added)
        network.train()
        network(maps(4, 1, 8, 8)).square().sum().backward()
        assert all(p.grad is not None for p in network.parameters() if not p.stop_gradient)


@pytest.mark.parametrize("backbone", [{"name": "resnet"}, {"name": "mobilenet", "blocks": [1, 3]}])
def test_stochastic_depth_grows_with_depth_and_only_acts_in_training(backbone):
    plain, network = build(**backbone), build(**backbone, stochastic_depth=0.4)
    assert list(plain.state_dict()) == list(network.state_dict())
    rates = [layer.p for layer in network.sublayers() if isinstance(layer, nn.Dropout)]
    assert rates == pytest.approx({"resnet": [0.2, 0.4], "mobilenet": [0.3, 0.4]}[backbone["name"]])
    x = maps(8, 1, 8, 8)
    plain.eval(), network.eval()
    assert np.array_equal(plain(x).numpy(), network(x).numpy())
    network.train()
    assert not np.array_equal(network(x).numpy(), network(x).numpy())


def test_whole_items_are_skipped():
    layer, x = factory().stochastic_depth(0.5), paddle.ones([64, 3, 2, 2])
    paddle.seed(0)
    kept = layer(x).numpy().reshape(64, -1)
    assert set(np.unique(kept)) == {0.0, 2.0}
    assert (kept == kept[:, :1]).all()
    assert 16 < (kept[:, 0] > 0).sum() < 48


def test_a_wide_residual_network():
    network = build(order="pre", width=8, widen=3, blocks=[1, 1], dropout=0.3)
    convolutions = [layer for layer in network.sublayers() if isinstance(layer, nn.Conv2D)]
    assert [layer._out_channels for layer in convolutions][:3] == [8, 24, 24]
    assert network.feature_dim == 48
    dropouts = [name for name, layer in network.named_sublayers() if isinstance(layer, nn.Dropout)]
    assert dropouts == ["backbone.stages.0.0.residual.dropout", "backbone.stages.1.0.residual.dropout"]
    narrow = build(order="pre", width=8, widen=3, blocks=[1, 1])
    assert list(narrow.state_dict()) == list(network.state_dict())
