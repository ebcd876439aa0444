"""The contracts of normalizations, activations and initializers."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import paddle

from paddle_automl.models.activations import Activation
from paddle_automl.models.initializers import Initializer
from paddle_automl.models.norms import Norm
from paddle_automl.testing.options import check_options


class NormContract:
    """Tests of a normalization: parametrize `plugin` with its class; `options` are its required options, if any."""

    options: ClassVar[dict[str, Any]] = {}

    def test_any_width_works_and_shapes_stay(self, plugin: type[Norm]) -> None:
        """The result has the shape [N, C, H, W] of the input and is finite."""
        norm = plugin(plugin.Config.model_validate(self.options))
        for channels in (1, 3, 7, 8, 12, 24):
            x = _maps(channels)
            for training in (True, False):
                layer = norm.make(channels)
                layer.train() if training else layer.eval()
                y = layer(x)
                assert y.shape == x.shape
                assert np.isfinite(y.numpy()).all()

    def test_claims_about_offsets_and_small_maps_hold(self, plugin: type[Norm]) -> None:
        """`normalizes` and `smallest_map` decide about biases and refused networks, so they must be true."""
        norm = plugin(plugin.Config.model_validate(self.options))
        layer, x = norm.make(8), _maps(8)
        layer.train()
        same = np.allclose(layer(x).numpy(), layer(x + 1.0).numpy(), atol=1e-4)
        assert same == norm.normalizes
        side = 1
        while side * side < norm.smallest_map:
            side += 1
        assert np.abs(layer(x[:, :, :side, :side]).numpy()).max() > 0
        if norm.smallest_map > 1:
            assert np.abs(layer(x[:, :, :1, :1]).numpy()).max() == 0

    def test_options_are_described(self, plugin: type[Norm]) -> None:
        """Class and options have a docstring."""
        check_options(plugin)


class ActivationContract:
    """Tests of an activation: parametrize `plugin` with its class."""

    def test_training_and_evaluation_agree(self, plugin: type[Activation]) -> None:
        """Formulas that are used only in training must equal those of evaluation."""
        layer = plugin().make()
        x = paddle.to_tensor(np.linspace(-8, 8, 33, dtype=np.float32).reshape(1, 33, 1, 1))
        layer.train()
        trained = layer(x)
        layer.eval()
        assert trained.shape == x.shape
        np.testing.assert_allclose(trained.numpy(), layer(x).numpy(), rtol=1e-4, atol=1e-5)

    def test_gradients_are_those_of_finite_differences(self, plugin: type[Activation]) -> None:
        """At points where usual functions have no kinks."""
        layer = plugin().make()
        layer.train()
        values = np.array([-5.3, -2.2, -0.7, -0.11, 0.13, 0.9, 2.4, 4.7], np.float32).reshape(1, 8, 1, 1)
        x = paddle.to_tensor(values, stop_gradient=False)
        layer(x).sum().backward()
        step = np.float32(1e-2)
        up, down = (layer(paddle.to_tensor(values + sign * step)).numpy() for sign in (1, -1))
        np.testing.assert_allclose(x.grad.numpy(), (up - down) / (2 * step), rtol=1e-2, atol=1e-3)

    def test_extreme_inputs_stay_finite_and_layers_are_not_shared(self, plugin: type[Activation]) -> None:
        """One layer for each place, so that its parameters are not shared."""
        first, second = plugin().make(), plugin().make()
        assert first is not second
        extreme = np.array([-1e4, -100, 0, 100, 1e4], np.float32).reshape(1, 5, 1, 1)
        x = paddle.to_tensor(extreme, stop_gradient=False)
        first(x).sum().backward()
        assert np.isfinite(first(x).numpy()).all()
        assert np.isfinite(x.grad.numpy()).all()

    def test_exports_and_reloads_with_equal_output(self, plugin: type[Activation], tmp_path: Path) -> None:
        """Paddle can export it for any batch size."""
        layer = plugin().make()
        layer.eval()
        path = str(tmp_path / "activation")
        paddle.jit.save(layer, path, input_spec=[paddle.static.InputSpec([None, 33, 1, 1], "float32")])
        x = paddle.to_tensor(np.linspace(-8, 8, 66, dtype=np.float32).reshape(2, 33, 1, 1))
        np.testing.assert_allclose(paddle.jit.load(path)(x).numpy(), layer(x).numpy(), rtol=1e-4, atol=1e-5)

    def test_options_are_described(self, plugin: type[Activation]) -> None:
        """The class has a docstring."""
        check_options(plugin)


class InitializerContract:
    """Tests of an initializer: parametrize `plugin` with its class."""

    def weights(self, plugin: type[Initializer], seed: int = 0) -> np.ndarray:
        """Return the kernel of a convolution of 3 x 3 from 32 to 64 channels."""
        paddle.seed(seed)
        attribute = paddle.ParamAttr(initializer=plugin().make(32 * 9))
        weights: np.ndarray = paddle.nn.Conv2D(32, 64, 3, weight_attr=attribute).weight.numpy()
        return weights

    def test_weights_are_finite_and_the_seed_decides(self, plugin: type[Initializer]) -> None:
        """All random numbers come from Paddle's generator."""
        first = self.weights(plugin)
        assert np.isfinite(first).all()
        assert np.abs(first).max() > 0
        assert np.array_equal(first, self.weights(plugin))

    def test_weights_of_a_linear_layer_work_too(self, plugin: type[Initializer]) -> None:
        """The head is initialized with it as well."""
        attribute = paddle.ParamAttr(initializer=plugin().make(16))
        weights = paddle.nn.Linear(16, 4, weight_attr=attribute).weight.numpy()
        assert np.isfinite(weights).all()
        assert np.abs(weights).max() > 0

    def test_options_are_described(self, plugin: type[Initializer]) -> None:
        """The class has a docstring."""
        check_options(plugin)


def _maps(channels: int) -> paddle.Tensor:
    values = np.random.default_rng(0).normal(2.0, 3.0, (3, channels, 4, 5))
    return paddle.to_tensor(values.astype(np.float32))
