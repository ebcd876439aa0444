"""What every optimizer must hold to; each file in the folder is tested by itself."""

import numpy as np
import paddle
import pytest

from paddle_automl.core.describe import all_options
from paddle_automl.training.optimizers.base import OPTIMIZERS, ParameterGroup

named = pytest.mark.parametrize("name", OPTIMIZERS.names())


def parameter(values):
    values = np.asarray(values, "float32")
    return paddle.create_parameter(
        values.shape, "float32", default_initializer=paddle.nn.initializer.Assign(values)
    )


def build(name, groups, clip=None, **options):
    cls = OPTIMIZERS[name]
    return cls(cls.Config(name=name, **options)).build(groups, clip)


def step(optimizer, parameters, gradients):
    for item, gradient in zip(parameters, gradients, strict=True):
        (item * paddle.to_tensor(np.asarray(gradient, "float32"))).sum().backward()
    optimizer.step()
    optimizer.clear_grad(set_to_zero=False)


@named
def test_minimizes_a_quadratic(name):
    p = parameter([[1.0, -2.0], [0.5, 3.0]])
    optimizer = build(name, [ParameterGroup([p])], learning_rate=0.05, weight_decay=0.0)
    for _ in range(300):
        (p * p).sum().backward()
        optimizer.step()
        optimizer.clear_grad()
    assert np.abs(p.numpy()).max() < 0.1


@named
def test_the_rate_is_set_from_outside_and_scaled_by_group(name):
    full, half = parameter([[1.0, 2.0]]), parameter([[1.0, 2.0]])
    optimizer = build(
        name, [ParameterGroup([full]), ParameterGroup([half], rate=0.5)], learning_rate=0.1, weight_decay=0.0
    )
    assert optimizer.get_lr() == pytest.approx(0.1)
    optimizer.set_lr(0.01)
    step(optimizer, [full, half], [[[1.0, -1.0]], [[1.0, -1.0]]])
    moved, moved_half = full.numpy() - [[1.0, 2.0]], half.numpy() - [[1.0, 2.0]]
    np.testing.assert_allclose(moved_half, moved / 2, rtol=1e-3)
    assert 0.001 < np.abs(moved).max() < 0.1
    assert moved[0, 0] < 0 < moved[0, 1]


@named
def test_weight_decay_pulls_only_its_group(name):
    decayed, left = parameter([[1.0, 2.0]]), parameter([1.0, 2.0])
    optimizer = build(
        name,
        [ParameterGroup([decayed]), ParameterGroup([left], decayed=False)],
        learning_rate=0.1,
        weight_decay=0.1,
    )
    step(optimizer, [decayed, left], [[[0.0, 0.0]], [0.0, 0.0]])
    assert (decayed.numpy() < [[1.0, 2.0]]).all()
    assert np.array_equal(left.numpy(), [1.0, 2.0])


@named
def test_no_decay_no_pull(name):
    p = parameter([[1.0, 2.0]])
    optimizer = build(name, [ParameterGroup([p])], learning_rate=0.1, weight_decay=0.0)
    step(optimizer, [p], [[[0.0, 0.0]]])
    assert np.array_equal(p.numpy(), [[1.0, 2.0]])


@named
def test_frozen_parameters_rest_and_go_on_when_released(name):
    frozen, free = parameter([[1.0, 2.0]]), parameter([[1.0, 2.0]])
    optimizer = build(name, [ParameterGroup([frozen, free])], learning_rate=0.1, weight_decay=0.1)
    frozen.stop_gradient = True
    (free * free + frozen).sum().backward()
    optimizer.step()
    optimizer.clear_grad(set_to_zero=False)
    assert np.array_equal(frozen.numpy(), [[1.0, 2.0]])
    assert not np.array_equal(free.numpy(), [[1.0, 2.0]])
    frozen.stop_gradient = False
    (free * free + frozen).sum().backward()
    optimizer.step()
    assert (frozen.numpy() < [[1.0, 2.0]]).all()


@named
def test_gradients_are_clipped_by_their_common_norm(name):
    """Clipping a gradient of norm 10 to 1 is the same as a gradient of norm 1."""
    results = []
    for gradient, clip in (([[6.0, 0.0]], 1.0), ([[0.6, 0.0]], None)):
        first, second = parameter([[1.0, 2.0]]), parameter([[3.0, 1.0]])
        limit = None if clip is None else paddle.nn.ClipGradByGlobalNorm(clip)
        optimizer = build(name, [ParameterGroup([first]), ParameterGroup([second])], limit, learning_rate=0.1)
        other = [[0.0, 8.0]] if clip else [[0.0, 0.8]]
        step(optimizer, [first, second], [gradient, other])
        results.append(np.concatenate([first.numpy(), second.numpy()]))
    np.testing.assert_allclose(results[0], results[1], rtol=1e-4)


@named
def test_options_are_described(name):
    assert OPTIMIZERS.summary(name)
    for option in all_options(OPTIMIZERS[name].Config):
        assert option.doc, option.key


def test_first_steps_by_hand():
    cases = {
        # 1 - 0.1 (2 + 0.5)
        "sgd": 0.75,
        "momentum": 0.75,
        # The first step of Adam is the sign of the gradient.
        "adam": 0.9,
        # 1 - 0.1 0.5 1 - 0.1
        "adamw": 0.85,
    }
    for name, expected in cases.items():
        p = parameter([[1.0]])
        optimizer = build(name, [ParameterGroup([p])], learning_rate=0.1, weight_decay=0.5)
        step(optimizer, [p], [[[2.0]]])
        assert p.numpy() == pytest.approx(np.array([[expected]]), rel=1e-5), name


def test_second_step_of_momentum_by_hand():
    for nesterov, expected in ((False, 1 - 0.1 - 0.1 * 1.9), (True, 1 - 0.1 * 1.9 - 0.1 * (1 + 0.9 * 1.9))):
        p = parameter([[1.0]])
        optimizer = build("momentum", [ParameterGroup([p])], learning_rate=0.1, nesterov=nesterov)
        step(optimizer, [p], [[[1.0]]])
        step(optimizer, [p], [[[1.0]]])
        assert p.numpy() == pytest.approx(np.array([[expected]]), rel=1e-5)
