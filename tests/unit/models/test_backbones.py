"""Numbers of particular backbones; what holds for all of them is in tests/contracts."""

import paddle
import pytest
from paddle import nn

from paddle_automl.core.errors import ConfigError
from paddle_automl.core.loading import validate
from paddle_automl.models.config import ModelConfig
from paddle_automl.models.layers import ConvNormAct
from paddle_automl.models.network import build_network
from paddle_automl.models.staged import StagedConfig, stage_strides
from paddle_automl.testing.backbones import image_input


def build(backbone, size, **model):
    config = validate(ModelConfig, {"backbone": backbone, **model})
    return build_network(config, image_input(1, *size), 2, seed=0)


def convolutions(model):
    return [layer for layer in model.sublayers() if isinstance(layer, nn.Conv2D)]


@pytest.mark.parametrize(
    ("size", "stages", "expected"),
    [
        ((8, 8), 3, [1, 2, 2]),
        ((8, 8), 5, [1, 2, 2, 1, 1]),
        ((3, 100), 3, [1, 1, 1]),
        ((56, 56), 4, [1, 2, 2, 2]),
        ((1, 1), 2, [1, 1]),
    ],
)
def test_automatic_strides_stop_at_small_maps(size, stages, expected):
    assert stage_strides(StagedConfig(), stages, size) == expected


def test_the_stem_follows_the_image():
    cases = [((8, 8), 3, 1, 8), ((64, 64), 3, 2, 32), ((224, 224), 7, 2, 56), ((225, 300), 7, 2, 57)]
    for size, kernel, stride, height in cases:
        stem = build({"name": "resnet", "blocks": [1]}, size).backbone.stem
        conv = convolutions(stem)[0]
        assert list(conv.weight.shape[2:]) == [kernel, kernel]
        assert stem(paddle.zeros([1, 1, *size])).shape[2] == stem.size[0] == height
        assert -(-size[0] // (stride * (2 if stem.pool is not None else 1))) == height


def test_a_stem_that_leaves_nothing_is_refused():
    with pytest.raises(ConfigError, match=r"model\.backbone\.stem_stride: 4 and stem_pool leave no pixel"):
        build({"name": "resnet", "stem_stride": 4, "stem_pool": True}, (6, 6))
    build({"name": "resnet", "stem_stride": 4, "stem_pool": True}, (8, 8))


def test_a_norm_that_cannot_work_on_one_pixel_is_refused():
    strides = {"name": "vgg", "convs": [1, 1, 1, 1], "strides": [1, 2, 2, 2]}
    with pytest.raises(ConfigError, match=r"model\.norm: instance_norm turns maps of 1 x 1 pixels"):
        build(strides, (8, 8), norm="instance_norm")
    build(strides, (8, 8), norm="layer_norm")


def test_depth_and_width_of_resnet():
    plain = build({"name": "resnet", "width": 8, "blocks": [2, 1], "kernel": 5}, (8, 8))
    # Stem, four convolutions, two convolutions and the shortcut of the wider stage.
    assert len(convolutions(plain)) == 1 + 4 + 2 + 1
    assert plain.feature_dim == 16
    narrow = build({"name": "resnet", "width": 8, "blocks": [1, 1], "bottleneck": True, "growth": 1.5}, (8, 8))
    assert len(convolutions(narrow)) == 1 + (3 + 1) * 2
    assert narrow.feature_dim == 12 * 4


def test_inverted_residuals_of_mobilenet():
    options = {"name": "mobilenet", "width": 8, "growth": 1.5, "blocks": [1, 2], "expansion": 3, "last": 2.0}
    model = build(options, (8, 8))
    # Stem; a block that does not widen (two); two blocks of three; the last.
    widths = [(conv._in_channels, conv._out_channels, conv._groups) for conv in convolutions(model)]
    first = [(8, 8, 8), (8, 8, 1)]
    second = [(8, 24, 1), (24, 24, 24), (24, 12, 1)]
    third = [(12, 36, 1), (36, 36, 36), (36, 12, 1)]
    assert widths == [(1, 8, 1), *first, *second, *third, (12, 24, 1)]
    assert model.feature_dim == 24
    blocks = [stage[str(index)] for stage in model.backbone.stages for index in range(len(stage))]
    assert [block.adds for block in blocks] == [False, False, True]
    # With its convolutions at zero, a block that adds passes its input on as it is, negative values too.
    model.eval()
    for conv in convolutions(blocks[2]):
        conv.weight.set_value(paddle.zeros_like(conv.weight))
    x = paddle.to_tensor([-1.0, 2.0]).reshape([1, 1, 1, 2]).expand([1, 12, 1, 2])
    assert blocks[2](x).numpy()[0, 0, 0].tolist() == [-1.0, 2.0]


def test_order_of_the_blocks():
    post = build({"name": "resnet", "width": 8, "blocks": [1]}, (8, 8)).backbone
    pre = build({"name": "resnet", "width": 8, "blocks": [1], "order": "pre"}, (8, 8)).backbone
    assert isinstance(post.stem.conv, ConvNormAct)
    assert isinstance(pre.stem.conv, nn.Conv2D)
    assert post.last is None
    assert isinstance(pre.last[0], nn.BatchNorm2D)
    # With the convolutions at zero, a block passes its input on: unchanged, or activated at its end.
    x = paddle.to_tensor([-1.0, 2.0]).reshape([1, 1, 1, 2]).expand([1, 8, 1, 2])
    for backbone, expected in ((post, [0.0, 2.0]), (pre, [-1.0, 2.0])):
        block = backbone.stages[0]["0"]
        for conv in convolutions(block):
            conv.weight.set_value(paddle.zeros_like(conv.weight))
        block.eval()
        assert block(x).numpy()[0, 0, 0].tolist() == expected


def test_vgg_reductions():
    for reduction, pools in (("max_pool", 1), ("avg_pool", 1), ("stride", 0)):
        model = build({"name": "vgg", "width": 8, "convs": [1, 2], "reduction": reduction}, (8, 8))
        kinds = nn.MaxPool2D | nn.AvgPool2D
        assert sum(isinstance(layer, kinds) for layer in model.backbone.sublayers()) == pools
        assert model.backbone(paddle.zeros([1, 1, 8, 8])).shape == [1, 16, 4, 4]


def test_inception_shares_the_channels():
    model = build({"name": "inception", "width": 10, "modules": [1]}, (8, 8))
    branches = model.backbone.stages[0]["0"].branches
    widths = [branch(paddle.zeros([1, 10, 8, 8])).shape[1] for branch in branches]
    assert widths == [3, 3, 2, 2]
    assert model.feature_dim == 10


def test_densenet_adds_its_growth_with_each_layer():
    options = {"name": "densenet", "width": 8, "growth": 4, "layers": [2, 1], "compression": 0.5}
    model = build(options, (8, 8))
    # Stem; two layers of two; to half of 8 + 2 x 4; one layer of two.
    assert [(conv._in_channels, conv._out_channels) for conv in convolutions(model)] == [
        (1, 8), (16, 8), (8, 16), (16, 4), (12, 16), (16, 4), (8, 16), (16, 4)
    ]  # fmt: skip
    assert model.feature_dim == 8 + 4
    assert model.backbone(paddle.zeros([1, 1, 8, 8])).shape == [1, 12, 4, 4]
    with pytest.raises(ConfigError, match=r"model\.backbone\.strides\.3: halves a map of 1 x 1 pixels"):
        build({"name": "densenet", "layers": [1] * 5, "strides": [2] * 5}, (8, 8))


def test_inception_v3_splits_its_kernels():
    model = build({"name": "inception_v3", "width": 12, "modules": [1, 2, 1], "flat": 5}, (8, 8))
    kernels = {tuple(conv.weight.shape[2:]) for conv in convolutions(model.backbone.stages[1]["1"])}
    assert kernels == {(1, 1), (1, 5), (5, 1)}
    assert {tuple(conv.weight.shape[2:]) for conv in convolutions(model.backbone.stages[0])} == {(1, 1), (3, 3)}
    # The last stage halves the map, so it begins with the strided module.
    assert model.feature_dim == 48
    split = build({"name": "inception_v3", "width": 12, "modules": [1, 2]}, (8, 8)).backbone.stages[1]["1"]
    assert {(1, 3), (3, 1)} < {tuple(conv.weight.shape[2:]) for conv in convolutions(split)}


@pytest.mark.parametrize("name", ["mobilenet_v3", "pp_lcnet"])
def test_networks_with_a_wide_layer_after_the_pooling(name):
    model = build({"name": name, "width": 8, "blocks": [1, 1, 1], "features": 24}, (16, 16))
    assert model.backbone(paddle.zeros([2, 1, 16, 16])).shape == [2, 24]
    # Larger kernels in the late stages.
    depthwise = [conv.weight.shape[2] for conv in convolutions(model) if conv._groups > 1]
    assert depthwise == ([3, 3, 5])
    attention = [key for key in model.state_dict() if "attention.squeeze.weight" in key]
    assert len(attention) == (3 if name == "mobilenet_v3" else 1)
    assert validate(ModelConfig, {"backbone": name}).activation == "hardswish"
    assert validate(ModelConfig, {"backbone": name, "activation": "relu"}).activation == "relu"
