"""The contract of optimizers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import paddle
import pytest
from paddle import Tensor

from paddle_automl.testing.options import check_options
from paddle_automl.training.optimizers.base import Optimizer, ParameterGroup


def parameter(values: Any) -> Tensor:
    """Return a parameter with these initial values."""
    values = np.asarray(values, "float32")
    initial = paddle.nn.initializer.Assign(values)
    return paddle.create_parameter(values.shape, "float32", default_initializer=initial)


def step(optimizer: paddle.optimizer.Optimizer, parameters: Sequence[Tensor], gradients: Sequence[Any]) -> None:
    """Take one step with these gradients."""
    for item, gradient in zip(parameters, gradients, strict=True):
        (item * paddle.to_tensor(np.asarray(gradient, "float32"))).sum().backward()
    optimizer.step()
    optimizer.clear_grad(set_to_zero=False)


class OptimizerContract:
    """Tests of an optimizer: parametrize `plugin` with its class; `options` are its required options, if any.

    If its steps are not of about the size of the learning rate, set another `rate`.
    """

    options: ClassVar[dict[str, Any]] = {}
    rate: ClassVar[float] = 0.05
    """Learning rate at which the quadratic is minimized."""

    def build(
        self,
        plugin: type[Optimizer],
        groups: Sequence[ParameterGroup],
        clip: paddle.nn.ClipGradBase | None = None,
        **options: Any,
    ) -> paddle.optimizer.Optimizer:
        """Return Paddle's optimizer of the groups."""
        return plugin(plugin.Config(**{**self.options, **options})).build(groups, clip)

    def test_minimizes_a_quadratic(self, plugin: type[Optimizer]) -> None:
        """300 steps with `rate` reduce x^2 to a tenth of its initial value."""
        p = parameter([[1.0, -2.0], [0.5, 3.0]])
        start = float((p * p).sum())
        optimizer = self.build(plugin, [ParameterGroup([p])], learning_rate=self.rate, weight_decay=0.0)
        for _ in range(300):
            (p * p).sum().backward()
            optimizer.step()
            optimizer.clear_grad()
        assert float((p * p).sum()) < 0.1 * start

    def test_the_rate_is_set_from_outside_and_scaled_by_group(self, plugin: type[Optimizer]) -> None:
        """Schedules set the rate; layers that were loaded from a file may have their own factor."""
        full, half = parameter([[1.0, 2.0]]), parameter([[1.0, 2.0]])
        groups = [ParameterGroup([full]), ParameterGroup([half], rate=0.5)]
        optimizer = self.build(plugin, groups, learning_rate=0.1, weight_decay=0.0)
        assert optimizer.get_lr() == pytest.approx(0.1)
        optimizer.set_lr(0.01)
        step(optimizer, [full, half], [[[1.0, -1.0]], [[1.0, -1.0]]])
        moved, moved_half = full.numpy() - [[1.0, 2.0]], half.numpy() - [[1.0, 2.0]]
        np.testing.assert_allclose(moved_half, moved / 2, rtol=1e-3)
        assert moved[0, 0] < 0 < moved[0, 1]
        # The same step at another rate moves in proportion to it.
        other = parameter([[1.0, 2.0]])
        faster = self.build(plugin, [ParameterGroup([other])], learning_rate=0.1, weight_decay=0.0)
        faster.set_lr(0.02)
        step(faster, [other], [[[1.0, -1.0]]])
        np.testing.assert_allclose(other.numpy() - [[1.0, 2.0]], 2 * moved, rtol=1e-3)

    def test_weight_decay_pulls_only_its_group(self, plugin: type[Optimizer]) -> None:
        """Kernels and weight matrices are pulled towards zero, biases and scales are not."""
        decayed, left = parameter([[1.0, 2.0]]), parameter([1.0, 2.0])
        groups = [ParameterGroup([decayed]), ParameterGroup([left], decayed=False)]
        optimizer = self.build(plugin, groups, learning_rate=0.1, weight_decay=0.1)
        step(optimizer, [decayed, left], [[[0.0, 0.0]], [0.0, 0.0]])
        assert (decayed.numpy() < [[1.0, 2.0]]).all()
        assert np.array_equal(left.numpy(), [1.0, 2.0])

    def test_no_decay_no_pull(self, plugin: type[Optimizer]) -> None:
        """Without gradient and decay nothing moves."""
        p = parameter([[1.0, 2.0]])
        optimizer = self.build(plugin, [ParameterGroup([p])], learning_rate=0.1, weight_decay=0.0)
        step(optimizer, [p], [[[0.0, 0.0]]])
        assert np.array_equal(p.numpy(), [[1.0, 2.0]])

    def test_frozen_parameters_rest_and_go_on_when_released(self, plugin: type[Optimizer]) -> None:
        """Loaded layers may be frozen in the first epochs."""
        frozen, free = parameter([[1.0, 2.0]]), parameter([[1.0, 2.0]])
        optimizer = self.build(plugin, [ParameterGroup([frozen, free])], learning_rate=0.1, weight_decay=0.1)
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

    def test_gradients_are_clipped_by_their_common_norm(self, plugin: type[Optimizer]) -> None:
        """A gradient of norm 10, clipped to 1, gives the same step as a gradient of norm 1."""
        results = []
        for scale, clip in ((10.0, paddle.nn.ClipGradByGlobalNorm(1.0)), (1.0, None)):
            first, second = parameter([[1.0, 2.0]]), parameter([[3.0, 1.0]])
            groups = [ParameterGroup([first]), ParameterGroup([second])]
            optimizer = self.build(plugin, groups, clip, learning_rate=0.1)
            step(optimizer, [first, second], [[[0.6 * scale, 0.0]], [[0.0, 0.8 * scale]]])
            results.append(np.concatenate([first.numpy(), second.numpy()]))
        np.testing.assert_allclose(results[0], results[1], rtol=1e-4)

    def test_options_are_described(self, plugin: type[Optimizer]) -> None:
        """Class and options have a docstring."""
        check_options(plugin)
