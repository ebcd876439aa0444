"""Backbones whose structure a search chooses edge by edge or layer by layer, and the transformer."""

import numpy as np
import paddle
import pytest
from paddle import nn

from paddle_automl.core.errors import ConfigError
from paddle_automl.core.loading import validate
from paddle_automl.models.backbones.nas_bench_201 import used_edges
from paddle_automl.models.config import ModelConfig
from paddle_automl.models.network import build_network
from paddle_automl.testing.backbones import image_input

NONE = "none"


def build(size=(8, 8), **backbone):
    return build_network(validate(ModelConfig, {"backbone": backbone}), image_input(1, *size), 2, seed=0)


def convolutions(model):
    return [layer for layer in model.sublayers() if isinstance(layer, nn.Conv2D)]


def test_only_edges_on_a_path_through_the_cell_are_built():
    skip = "skip"
    assert used_edges((skip,) * 6) == ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
    # Node 2 leads nowhere, so the edges into it are of no use either.
    assert used_edges((skip, skip, skip, NONE, skip, NONE)) == ((0, 1), (1, 3))
    # Nothing comes into node 1.
    assert used_edges((NONE, skip, skip, NONE, skip, skip)) == ((0, 2), (2, 3))
    assert used_edges((skip, skip, skip, NONE, NONE, NONE)) == ()


def cell(*edges):
    return build(name="nas_bench_201", width=8, cells=[1], edges=list(edges)).backbone.stages[0]["0"]


def test_the_cell_adds_what_its_edges_make():
    x = paddle.to_tensor(np.random.default_rng(0).normal(size=(2, 8, 4, 4)).astype("float32"))
    # Node 1 = x, node 2 = x + x, node 3 = x + x + 2 x.
    assert np.allclose(cell(*["skip"] * 6)(x).numpy(), 4 * x.numpy())
    mixed = cell("conv_1x1", NONE, "avg_pool_3x3", NONE, "skip", "skip")
    mixed.eval()
    first = mixed.edges["0_1"](x)
    expected = first + nn.functional.avg_pool2d(first, 3, stride=1, padding=1)
    np.testing.assert_allclose(mixed(x).numpy(), expected.numpy(), rtol=1e-5, atol=1e-6)
    nothing = cell("conv_3x3", NONE, NONE, NONE, NONE, NONE)
    assert not nothing(x).numpy().any()
    assert not list(nothing.parameters())


def test_a_residual_block_stands_between_stages():
    model = build(name="nas_bench_201", width=8, cells=[1, 2], edges=["skip"] * 6)
    # Stem; two convolutions and a shortcut where the map is halved.
    assert [layer._out_channels for layer in convolutions(model)] == [8, 16, 16, 16]
    assert model.backbone(paddle.zeros([1, 1, 8, 8])).shape == [1, 16, 4, 4]


def test_the_stem_ends_with_a_normalization():
    """As in the paper's skeleton: skips and the first sums carry normalized maps of both signs."""
    backbone = build(name="nas_bench_201", width=8, cells=[1]).backbone
    backbone.train()
    maps = backbone.stem(paddle.to_tensor(5 + np.random.default_rng(0).normal(size=(8, 1, 8, 8)).astype("float32")))
    np.testing.assert_allclose(maps.mean([0, 2, 3]).numpy(), 0, atol=1e-4)
    np.testing.assert_allclose(maps.std([0, 2, 3], unbiased=False).numpy(), 1, atol=1e-2)
    assert (maps.numpy() < 0).any()


def test_the_wrong_number_of_edges_is_refused():
    with pytest.raises(ConfigError, match=r"backbone\.edges: .* at least 6 items"):
        build(name="nas_bench_201", edges=["skip"] * 5)


def test_a_list_of_layers_is_built_as_it_stands():
    layers = [{"conv": 8, "kernel": 5, "stride": 2}, {"dropout": 0.2}, {"pool": "mean", "window": 3}, {"conv": 4}]
    model = build(name="layer_list", layers=layers)
    first, second = convolutions(model)
    assert (first.weight.shape, first._stride) == ([8, 1, 5, 5], [2, 2])
    assert second.weight.shape == [4, 8, 3, 3]
    assert model.backbone(paddle.zeros([1, 1, 8, 8])).shape == [1, 4, 2, 2]
    assert sum(isinstance(layer, nn.Dropout) for layer in model.backbone.sublayers()) == 1


def test_a_map_of_one_pixel_is_not_reduced_further():
    model = build(name="layer_list", layers=[{"conv": 4}, *[{"pool": "max"}] * 5, {"conv": 4, "stride": 2}])
    pools = [layer for layer in model.backbone.sublayers() if isinstance(layer, nn.MaxPool2D)]
    assert len(pools) == 3
    assert model.backbone(paddle.zeros([1, 1, 8, 8])).shape == [1, 4, 1, 1]


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([{"conv": 8, "pool": "max"}], "give exactly one of conv, pool and dropout, got conv and pool"),
        ([{"kernel": 3}], "give exactly one of conv, pool and dropout, got none"),
    ],
)
def test_lists_that_make_no_sense_are_refused(layers, message):
    with pytest.raises(ConfigError, match=message):
        build(name="layer_list", layers=layers)


def test_patches_follow_the_image():
    for size, side, tokens in (((8, 8), 2, 16), ((28, 28), 4, 49), ((9, 13), 2, 35), ((224, 300), 16, 14 * 19)):
        model = build(size, name="vit", width=8, depth=1, heads=2)
        assert model.backbone.embed.weight.shape == [8, 1, side, side]
        assert model.backbone.positions.shape == [tokens, 8]
    with pytest.raises(ConfigError, match=r"patch: patches of 9 x 9 pixels are larger than the images of 8 x 8"):
        build(name="vit", patch=9)
    with pytest.raises(ConfigError, match=r"heads: the width must be a multiple of the heads, got width 10"):
        build(name="vit", width=10, heads=4)


@pytest.mark.parametrize("features", ["mean", "class_token"])
def test_without_positions_the_order_of_patches_does_not_matter(features):
    backbone = build(name="vit", width=8, depth=2, heads=2, patch=4, features=features).backbone
    backbone.eval()
    image = np.random.default_rng(0).normal(size=(1, 1, 8, 8)).astype("float32")
    turned = np.concatenate([image[..., 4:], image[..., :4]], axis=3)
    before = [backbone(paddle.to_tensor(item)).numpy() for item in (image, turned)]
    assert not np.allclose(*before, atol=1e-5)
    backbone.positions.set_value(paddle.zeros_like(backbone.positions))
    after = [backbone(paddle.to_tensor(item)).numpy() for item in (image, turned)]
    np.testing.assert_allclose(*after, atol=1e-5)


def test_attention_by_hand():
    block = build(name="vit", width=8, depth=1, heads=2).backbone.blocks[0].attention
    x = np.random.default_rng(0).normal(size=(3, 5, 8)).astype("float32")
    query, key, value = np.split(x @ block.query_key_value.weight.numpy(), 3, axis=2)
    heads = []
    for part in (slice(0, 4), slice(4, 8)):
        scores = query[..., part] @ key[..., part].transpose(0, 2, 1) / 2
        weights = np.exp(scores) / np.exp(scores).sum(axis=2, keepdims=True)
        heads.append(weights @ value[..., part])
    expected = np.concatenate(heads, axis=2) @ block.out.weight.numpy()
    np.testing.assert_allclose(block(paddle.to_tensor(x)).numpy(), expected, rtol=1e-4, atol=1e-5)
