"""Every activation against its contract, and our own against their formulas, in training and in evaluation."""

import math

import numpy as np
import paddle
import pytest

from paddle_automl.models.activations import ACTIVATIONS
from paddle_automl.testing.layers import ActivationContract

X = np.linspace(-8, 8, 33, dtype=np.float32)


def _gelu(x):
    return 0.5 * x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


FORMULAS = {
    "relu": lambda x: max(x, 0),
    "relu6": lambda x: min(max(x, 0), 6),
    "leaky_relu": lambda x: x if x > 0 else 0.01 * x,
    "prelu": lambda x: x if x > 0 else 0.25 * x,
    "elu": lambda x: x if x > 0 else math.exp(x) - 1,
    "gelu": _gelu,
    "silu": lambda x: x / (1 + math.exp(-x)),
    "hardswish": lambda x: x * min(max(x + 3, 0), 6) / 6,
    "mish": lambda x: x * math.tanh(math.log1p(math.exp(x))),
    "tanh": math.tanh,
}


@pytest.mark.parametrize(
    "plugin", [ACTIVATIONS[name] for name in ACTIVATIONS.names()], ids=lambda cls: cls.__name__
)
class TestActivations(ActivationContract):
    pass


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", FORMULAS)
def test_values_and_slopes_are_those_of_the_formula(name, training):
    layer = ACTIVATIONS[name]().make()
    layer.train() if training else layer.eval()
    x = paddle.to_tensor(X[None, :, None, None] * np.ones([1, 1, 2, 1], np.float32), stop_gradient=False)
    y = layer(x)
    assert y.shape == x.shape
    expected = [FORMULAS[name](float(value)) for value in X]
    np.testing.assert_allclose(y.numpy()[0, :, 0, 0], expected, rtol=1e-4, atol=1e-5)
    y.sum().backward()
    # Kinks lie at -3, 0, 3 and 6, all of them among X; a central difference is meant elsewhere.
    smooth = ~np.isin(X, [-3.0, 0.0, 3.0, 6.0])
    slopes = [(FORMULAS[name](v + 1e-4) - FORMULAS[name](v - 1e-4)) / 2e-4 for v in X.astype(float)]
    np.testing.assert_allclose(x.grad.numpy()[0, :, 0, 0][smooth], np.array(slopes)[smooth], rtol=1e-2, atol=1e-3)


def test_the_slope_of_prelu_is_learned():
    layer = ACTIVATIONS["prelu"]().make()
    layer(paddle.to_tensor([[-2.0, 3.0, -1.0]])).sum().backward()
    assert layer.weight.grad.numpy() == pytest.approx([-3.0])
