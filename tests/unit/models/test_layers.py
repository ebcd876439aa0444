import numpy as np
import paddle
import pytest
from paddle import nn

from paddle_automl.models.embedding import EmbeddingConfig
from paddle_automl.models.layers import LayerFactory
from paddle_automl.models.norms import NORMS


def factory(norm="batch_norm", activation="relu"):
    return LayerFactory(activation, NORMS[norm].Config(name=norm), "kaiming_normal")


@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize("dilation", [1, 2])
@pytest.mark.parametrize("stride", [1, 2])
def test_convolutions_keep_the_size_or_halve_it(kernel, dilation, stride):
    conv = factory().conv(4, 8, kernel, stride=stride, dilation=dilation, groups=2)
    assert conv(paddle.ones([2, 4, 9, 12])).shape == [2, 8, -(-9 // stride), 12 // stride]
    assert conv.bias is None


@pytest.mark.parametrize("options", [{}, {"stride": 2}, {"groups": 4}, {"dilation": 2}])
def test_the_bias_while_training_is_the_bias_of_paddle(options):
    conv = factory("none").conv(4, 8, 3, **options)
    reference = nn.Conv2D(
        4,
        8,
        3,
        stride=options.get("stride", 1),
        padding=options.get("dilation", 1),
        dilation=options.get("dilation", 1),
        groups=options.get("groups", 1),
    )
    conv.bias.set_value(paddle.arange(8, dtype="float32"))
    reference.set_state_dict(conv.state_dict())
    x = paddle.randn([2, 4, 7, 6])
    outputs = []
    for layer in (conv, reference):
        layer.train()
        layer(x).square().sum().backward()
        outputs.append((layer(x).numpy(), layer.weight.grad.numpy(), layer.bias.grad.numpy()))
        layer.eval()
        outputs[-1] += (layer(x).numpy(),)
    for own, expected in zip(*outputs, strict=True):
        np.testing.assert_allclose(own, expected, rtol=1e-4, atol=1e-4)


def test_bias_can_be_forced():
    assert factory().conv(1, 2, 3, bias=True).bias is not None
    assert factory("none").conv(1, 2, 3, bias=False).bias is None


def test_conv_norm_act_with_and_without_activation():
    x = paddle.randn([2, 3, 5, 5])
    assert float(factory().conv_norm_act(3, 4, 3)(x).min()) == 0
    assert float(factory().conv_norm_act(3, 4, 3, activation=False)(x).min()) < 0


def test_pools():
    x = paddle.arange(25, dtype="float32").reshape([1, 1, 5, 5])
    layers = factory()
    assert layers.max_pool(2)(x).numpy().tolist() == [[[[6, 8], [16, 18]]]]
    assert layers.max_pool(2, ceil_mode=True)(x).shape == [1, 1, 3, 3]
    assert layers.avg_pool(2)(x).numpy().tolist() == [[[[3, 5], [13, 15]]]]
    assert layers.global_pool()(x).numpy().tolist() == [[[[12]]]]


def test_dropout_only_while_training():
    layer = factory().dropout(0.5)
    x = paddle.ones([1000])
    layer.train()
    assert 300 < int((layer(x) == 0).sum()) < 700
    layer.eval()
    assert np.array_equal(layer(x).numpy(), x.numpy())
    assert isinstance(factory().dropout(0.0), nn.Identity)


def test_another_activation_changes_nothing_else():
    norm = NORMS["group_norm"].Config(name="group_norm")
    layers = LayerFactory("relu", norm, "dirac", EmbeddingConfig(file="missing.vec"), blank=True)
    other = layers.with_activation("gelu")
    kinds = [type(made.activation()).__name__ for made in (layers, other)]
    assert kinds == ["ReLU", "GELU"]
    assert other.norm_kind is layers.norm_kind
    assert other.gives_vectors
    # Vectors are not read: the network is blank.
    assert other.embedding(["", "?", "a"], 4).width == 128
