"""The contract of heads."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import paddle
import pytest
from paddle import Tensor

from paddle_automl.deployment.exporters.base import EXPORTERS
from paddle_automl.inputs.features import FeatureInput
from paddle_automl.models.heads.base import Head
from paddle_automl.models.layers import LayerFactory
from paddle_automl.models.network import Given, Network
from paddle_automl.models.norms import NORMS
from paddle_automl.paddle_compat.device import seed_everything
from paddle_automl.paddle_compat.modes import evaluating
from paddle_automl.tasks.base import Final
from paddle_automl.testing.options import check_options


class HeadContract:
    """Tests of a head: parametrize `plugin` with its class; `options` are its required options, if any."""

    options: ClassVar[dict[str, Any]] = {}

    def network(
        self, plugin: type[Head], features: int = 12, outputs: int = 3, activation: str = "relu"
    ) -> Network:
        """Return a network whose input are features."""
        seed_everything(0, "weights")
        layers = LayerFactory(activation, NORMS["none"].Config(name="none"), "kaiming_normal")
        model = Network(Given(features), layers, outputs=outputs, dropout=0.0)
        head = plugin(plugin.Config.model_validate(self.options))
        model.fc = head.make(model.backbone, layers, outputs)
        return model

    def example(self, count: int, features: int = 12) -> Tensor:
        """Return features of `count` items."""
        given = FeatureInput.of(features).example(count, np.random.default_rng(0))
        return paddle.to_tensor(given["features"])

    @pytest.mark.parametrize("outputs", [1, 2, 7])
    def test_outputs_have_the_promised_shape_and_are_finite(self, plugin: type[Head], outputs: int) -> None:
        """[N, F] becomes [N, K], for features that are all zero too."""
        model = self.network(plugin, features=5, outputs=outputs)
        for x in (self.example(1, 5), self.example(4, 5), paddle.zeros([2, 5])):
            with evaluating(model), paddle.no_grad():
                y = model(x)
            assert y.shape == [x.shape[0], outputs]
            assert np.isfinite(y.numpy()).all()

    def test_every_parameter_has_a_gradient(self, plugin: type[Head]) -> None:
        """The forward pass uses every weight."""
        model = self.network(plugin, activation="leaky_relu")
        model.train()
        paddle.nn.functional.cross_entropy(model(self.example(4)), paddle.to_tensor([0, 1, 2, 0])).backward()
        learned = {key: item for key, item in model.named_parameters() if not item.stop_gradient}
        assert learned
        for key, parameter in learned.items():
            assert parameter.grad is not None, key
            assert np.abs(parameter.grad.numpy()).max() > 0, key

    def test_same_seed_same_weights(self, plugin: type[Head]) -> None:
        """All random numbers come from Paddle's generator."""
        first, second = self.network(plugin), self.network(plugin)
        for (key, a), b in zip(first.named_parameters(), second.parameters(), strict=True):
            assert np.array_equal(a.numpy(), b.numpy()), key

    @pytest.mark.parametrize("format", ["paddle_inference", "paddle_program"])
    def test_the_exported_head_answers_as_the_trained_one(
        self, plugin: type[Head], format: str, tmp_path: Path
    ) -> None:
        """Paddle Inference fuses and replaces operators, not always correctly."""
        model, given = self.network(plugin), FeatureInput.of(12)
        x = given.example(5, np.random.default_rng(1))
        kind = EXPORTERS[format]
        exporter = kind(kind.Config(name=format))
        exporter.export(model, tmp_path, specs=given.specs, final=Final("identity"))
        with evaluating(model), paddle.no_grad():
            expected = model(paddle.to_tensor(x["features"])).numpy()
        np.testing.assert_allclose(exporter.session(tmp_path)(x), expected, rtol=1e-4, atol=1e-5)

    def test_options_are_described(self, plugin: type[Head]) -> None:
        """Class and options have a docstring; `space` names options."""
        check_options(plugin)
        assert set(plugin.space) <= set(plugin.Config.model_fields)
