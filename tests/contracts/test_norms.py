"""Every normalization against its contract, and our own against their formulas."""

import numpy as np
import paddle
import pytest

from paddle_automl.models.norms import NORMS
from paddle_automl.testing.layers import NormContract

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


@pytest.mark.parametrize("plugin", [NORMS[name] for name in NORMS.names()], ids=lambda cls: cls.name)
class TestNorms(NormContract):
    pass


@pytest.mark.parametrize("name", FORMULAS)
def test_values_are_those_of_the_formula(name):
    cls = NORMS[name]
    layer = cls(cls.Config(name=name)).make(8)
    layer.train()
    np.testing.assert_allclose(layer(paddle.to_tensor(X)).numpy(), FORMULAS[name](X), rtol=1e-3, atol=1e-4)
