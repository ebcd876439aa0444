"""Heads and the normalization of features, by their formulas."""

import numpy as np
import paddle
import pytest

from paddle_automl.core.errors import ConfigError
from paddle_automl.core.loading import validate
from paddle_automl.deployment.exporters.base import EXPORTERS
from paddle_automl.inputs.features import FeatureInput
from paddle_automl.models.config import ModelConfig
from paddle_automl.models.feature_norms import Standard, Unit
from paddle_automl.models.network import build_head, build_network
from paddle_automl.tasks.base import Final
from paddle_automl.testing.backbones import image_input

X = np.random.default_rng(0).normal(1.0, 2.0, (6, 4)).astype("float32")
SMALL = {"backbone": {"name": "resnet", "width": 8, "blocks": [1]}}


def test_unit_leaves_the_direction():
    y = Unit()(paddle.to_tensor(X)).numpy()
    np.testing.assert_allclose(np.square(y).mean(axis=1), 1.0, rtol=1e-5)
    np.testing.assert_allclose(y / y[:, :1], X / X[:, :1], rtol=1e-4)
    assert (Unit()(paddle.zeros([2, 3])).numpy() == 0).all()


def test_standard_uses_the_training_items():
    constant = np.concatenate([X, np.full((6, 1), 3.0, "float32")], axis=1)
    norm = Standard(5)
    norm.fit(constant)
    y = norm(paddle.to_tensor(constant)).numpy()
    np.testing.assert_allclose(y.mean(axis=0), 0.0, atol=1e-6)
    np.testing.assert_allclose(y[:, :4].std(axis=0), 1.0, rtol=1e-5)
    assert (y[:, 4] == 0).all()
    assert set(norm.state_dict()) == {"mean", "std"}


def test_cosine_by_hand():
    config = validate(ModelConfig, {"head": {"name": "cosine", "scale": 7.0}})
    model = build_head(config, 4, 3, seed=0)
    weight = model.fc.weight.numpy()
    cosines = (X / np.linalg.norm(X, axis=1, keepdims=True)) @ (weight / np.linalg.norm(weight, axis=0))
    np.testing.assert_allclose(model(paddle.to_tensor(X)).numpy(), 7.0 * cosines, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("head", ["linear", "cosine", {"name": "mlp", "hidden": 5}])
@pytest.mark.parametrize("norm", ["none", "unit", "standard"])
def test_a_head_alone_has_the_names_and_the_answers_of_the_whole(head, norm, tmp_path):
    options = {"head": head, "feature_norm": norm, **SMALL, "pretrained": "x", "freeze": "backbone"}
    config = validate(ModelConfig, options)
    whole = build_network(config.model_copy(update={"pretrained": None}), image_input(1, 8, 8), 3, seed=0)
    alone = build_head(config, whole.feature_dim, 3, seed=1)
    names = {name for name in whole.state_dict() if not name.startswith("backbone.")}
    assert set(alone.state_dict()) == names
    whole.set_state_dict({**whole.state_dict(), **alone.state_dict()})
    whole.eval()
    alone.eval()
    images = image_input(1, 8, 8).example(3, np.random.default_rng(0))["image"]
    with paddle.no_grad():
        features = whole.features(paddle.to_tensor(images))
        expected = whole(paddle.to_tensor(images)).numpy()
        np.testing.assert_allclose(alone(features).numpy(), expected, rtol=1e-4, atol=1e-5)
    # An exported program is checked here, because Paddle Inference computed some formulas of the norm wrongly.
    for name in ("paddle_inference", "paddle_program"):
        (tmp_path / name).mkdir()
        exporter = EXPORTERS[name](EXPORTERS[name].Config(name=name))
        exporter.export(whole, tmp_path / name, specs=image_input(1, 8, 8).specs, final=Final("identity"))
        found = exporter.session(tmp_path / name)({"image": images})
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"freeze": "backbone"}, "freeze: backbone needs pretrained"),
        ({"freeze": "backbone", "pretrained": "x", "frozen_epochs": 1}, "keeps it frozen in all epochs"),
        (
            {"feature_norm": "standard", "pretrained": "imagenet", "backbone": "efficientnet_lite"},
            "standard needs freeze",
        ),
        ({"head": "cosin"}, "cosin.*cosine"),
    ],
)
def test_contradictions_are_named(options, reason):
    with pytest.raises(ConfigError, match=reason):
        validate(ModelConfig, options)


def test_features_are_an_input_without_reading():
    given = FeatureInput.of(4)
    assert given.batch(X)["features"] is X
    assert given.specs[0].shape == (4,)
    assert given.example(2, np.random.default_rng(0))["features"].shape == (2, 4)
