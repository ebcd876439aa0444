"""Comparison of a fast layer with the layer of Paddle it derives from."""

import numpy as np
import paddle
import pytest

from paddle_automl.models import kernels

TOLERANCE = {"float32": 2e-5, "bfloat16": 2.5e-2}
"""Error allowed, over the largest value of the compared array."""


def needs(dtype):
    reason = kernels.unsupported(dtype)
    return pytest.mark.skipif(bool(reason), reason=f"{dtype}: {reason}")


DTYPES = [pytest.param(dtype, marks=needs(dtype)) for dtype in ("float32", "bfloat16")]


def error(found, expected):
    found, expected = np.asarray(found, np.float64), np.asarray(expected, np.float64)
    assert found.shape == expected.shape
    scale = np.abs(expected).max(initial=0.0)
    return np.abs(found - expected).max(initial=0.0) / max(scale, 1e-3)


def rounded(array):
    """Numbers that bfloat16 holds exactly, so that both sides start from the same input."""
    return np.asarray(np.asarray(array, np.float32).view(np.uint32) & 0xFFFF0000, np.uint32).view(np.float32)


def normal(rng, *shape):
    return rounded(rng.standard_normal(shape))


def run(layer, inputs, dtype, dy):
    """Result and gradients of one call, inside the fast path of `dtype` or (None) outside of it."""
    leaves = [paddle.to_tensor(x, stop_gradient=False) for x in inputs]
    with kernels.use(dtype):
        y = layer(*leaves)
    y = kernels.plain(y)
    # Paddle has no gradients for infinite padding, hence a weighted sum of what is there.
    (y * paddle.to_tensor(dy)).sum().backward()
    parameters = [] if not hasattr(layer, "named_parameters") else list(layer.named_parameters())
    gradients = {f"input {index}": leaf.grad.numpy() for index, leaf in enumerate(leaves)}
    gradients.update({name: p.grad.numpy() for name, p in parameters if p.grad is not None})
    return y.numpy(), gradients


def compare(fast, plain, inputs, dtype, tolerance=None):
    """Check result, gradients of inputs and parameters, and buffers of `fast` against `plain`."""
    tolerance = tolerance or TOLERANCE[dtype]
    if hasattr(plain, "state_dict"):
        for name, parameter in plain.named_parameters():
            value = np.random.default_rng(len(name)).standard_normal(parameter.shape)
            parameter.set_value(rounded(np.abs(value) + 0.5 if name.endswith("_variance") else value))
        assert list(fast.state_dict()) == list(plain.state_dict())
        fast.set_state_dict(plain.state_dict())
    shape = plain(*(paddle.to_tensor(x) for x in inputs)).shape
    if hasattr(plain, "state_dict"):
        fast.set_state_dict(plain.state_dict())
    dy = normal(np.random.default_rng(5), *shape)
    y, gradients = run(fast, inputs, dtype, dy)
    expected, expected_gradients = run(plain, inputs, None, dy)
    assert y.dtype == np.float32
    assert error(y, expected) < tolerance
    assert gradients.keys() == expected_gradients.keys()
    for name, value in expected_gradients.items():
        assert error(gradients[name], value) < tolerance, name
    if hasattr(plain, "state_dict"):
        # Running statistics among them.
        for name, value in plain.state_dict().items():
            assert error(fast.state_dict()[name].numpy(), value.numpy()) < tolerance, name
