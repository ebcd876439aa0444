"""Every normalization against its formula."""

import numpy as np
import paddle
import pytest

from paddle_automl.core.describe import all_options
from paddle_automl.models.norms import NORMS

SHAPE = (3, 8, 4, 5)
X = np.random.default_rng(0).normal(2.0, 3.0, SHAPE).astype(np.float32)


def _over(x, axes):
    return (x - x.mean(axis=axes, keepdims=True)) / np.sqrt(x.var(axis=axes, keepdims=True) + 1e-5)


FORMULAS = {
    "batch_norm": lambda x: _over(x, (0, 2, 3)),
    # Eight channels in at most eight groups of at least two: four groups.
    "group_norm": lambda x: _over(x.reshape(3, 4, 2, 4, 5), (2, 3, 4)).reshape(SHAPE),
    "layer_norm": lambda x: _over(x, (1, 2, 3)),
    "instance_norm": lambda x: _over(x, (2, 3)),
    "none": lambda x: x,
}


@pytest.mark.parametrize("name", NORMS.names())
def test_values_are_those_of_the_formula(name):
    cls = NORMS[name]
    layer = cls(cls.Config(name=name)).make(8)
    layer.train()
    np.testing.assert_allclose(layer(paddle.to_tensor(X)).numpy(), FORMULAS[name](X), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", NORMS.names())
def test_claims_about_offsets_and_small_maps_hold(name):
    cls = NORMS[name]
    norm = cls(cls.Config(name=name))
    layer = norm.make(8)
    layer.train()
    same = np.allclose(layer(paddle.to_tensor(X)).numpy(), layer(paddle.to_tensor(X + 1.0)).numpy(), atol=1e-4)
    assert same == norm.normalizes
    pixel = layer(paddle.to_tensor(X[:, :, :1, :1])).numpy()
    assert (np.abs(pixel).max() > 0) == (norm.smallest_map == 1)


@pytest.mark.parametrize("name", NORMS.names())
def test_options_are_described_and_any_width_works(name):
    cls = NORMS[name]
    for option in all_options(cls.Config):
        assert option.doc, option.key
    for channels in (1, 3, 7, 12, 24):
        layer = cls(cls.Config(name=name)).make(channels)
        assert layer(paddle.ones([2, channels, 3, 3])).shape == [2, channels, 3, 3]
