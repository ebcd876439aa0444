"""What every backbone must hold to; each file in the folder is tested by itself."""

import numpy as np
import paddle
import pytest
from paddle import nn

from paddle_automl.core.describe import all_options
from paddle_automl.core.errors import ConfigError
from paddle_automl.core.loading import validate
from paddle_automl.core.merging import with_overrides
from paddle_automl.models.backbones.base import BACKBONES
from paddle_automl.models.classifier import build_model
from paddle_automl.models.config import ModelConfig
from paddle_automl.models.layers import LayerFactory
from paddle_automl.models.norms import NORMS
from paddle_automl.space.space import SearchSpace

pytestmark = pytest.mark.parametrize("name", BACKBONES.names())


def make(name, *, channels=1, size=(8, 8), width=8, **model):
    config = validate(ModelConfig, {"backbone": {"name": name, "width": width}, **model})
    return build_model(config, in_channels=channels, num_classes=3, image_size=size, seed=0)


def images(batch, channels, size, seed=0):
    values = np.random.default_rng(seed).normal(size=(batch, channels, *size)).astype("float32")
    return paddle.to_tensor(values)


def configs_of(name, count):
    """Both corners of the declared space, and some points between them."""
    space = SearchSpace.parse({"model.backbone": {name: BACKBONES[name].space}})
    rng = np.random.default_rng(0)
    for params in [*space.corners(), *(space.sample(rng) for _ in range(count))]:
        yield with_overrides({"model": {}}, space.overrides(params))["model"]


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(8, 8), (9, 13), (28, 28), (64, 64), (150, 120)])
def test_features_have_the_promised_shape_and_are_finite(name, size, channels, batch):
    model = make(name, channels=channels, size=size, width=4)
    model.eval()
    maps = model.backbone(images(batch, channels, size))
    assert maps.shape[:2] == [batch, model.backbone.out_channels]
    assert min(maps.shape[2:]) >= 1
    assert np.isfinite(maps.numpy()).all()
    assert model(images(batch, channels, size)).shape == [batch, 3]


@pytest.mark.parametrize("norm", NORMS.names())
def test_every_parameter_has_a_gradient(name, norm):
    model = make(name, norm=norm, activation="leaky_relu")
    model.train()
    paddle.nn.functional.cross_entropy(model(images(4, 1, (8, 8))), paddle.to_tensor([0, 1, 2, 0])).backward()
    learned = [(key, p) for key, p in model.named_parameters() if not key.endswith(("._mean", "._variance"))]
    assert len(learned) > 8
    for key, parameter in learned:
        assert parameter.grad is not None, key
        gradient = parameter.grad.numpy()
        assert np.isfinite(gradient).all(), key
        assert np.abs(gradient).max() > 0, key


def test_training_and_evaluation_agree_without_batch_statistics(name):
    """Formulas that are used while training only must be those of evaluation."""
    model = make(name, norm="none", activation="mish")
    x = images(2, 1, (8, 8))
    model.train()
    trained = model(x).numpy()
    model.eval()
    np.testing.assert_allclose(trained, model(x).numpy(), rtol=1e-4, atol=1e-5)


def test_state_dict_round_trip(name):
    first, second = make(name), make(name)
    with paddle.no_grad():
        for tensor in first.state_dict().values():
            tensor.set_value(tensor + 0.1)
    second.set_state_dict(first.state_dict())
    x = images(2, 1, (8, 8))
    first.eval(), second.eval()
    assert np.array_equal(first(x).numpy(), second(x).numpy())


@pytest.mark.parametrize("activation", ["relu", "mish", "prelu", "gelu"])
def test_exports_and_reloads_with_equal_output(name, activation, tmp_path):
    norm = "none" if activation == "prelu" else "batch_norm"
    model = make(name, width=4, activation=activation, norm=norm)
    model.eval()
    spec = paddle.static.InputSpec([None, 1, 8, 8], "float32", name="image")
    paddle.jit.save(model, str(tmp_path / "网络 model"), input_spec=[spec])
    loaded = paddle.jit.load(str(tmp_path / "网络 model"))
    x = images(3, 1, (8, 8))
    np.testing.assert_allclose(loaded(x).numpy(), model(x).numpy(), rtol=1e-4, atol=1e-5)


def test_same_seed_same_weights(name):
    first, second = make(name), make(name)
    for (key, a), b in zip(first.named_parameters(), second.parameters(), strict=True):
        assert np.array_equal(a.numpy(), b.numpy()), key


@pytest.mark.parametrize("size", [(8, 8), (32, 32), (224, 224)])
def test_the_declared_space_builds(name, size):
    for config in configs_of(name, count=8):
        backbone = validate(ModelConfig, config).backbone
        assert isinstance(backbone, BACKBONES[name].Config)
        factory = LayerFactory("relu", validate(ModelConfig, {}).norm, "kaiming_normal")
        built = BACKBONES[name](backbone, in_channels=3, layers=factory, image_size=size)
        assert built.out_channels >= backbone.width


def test_points_of_the_declared_space_run(name):
    for config in configs_of(name, count=4):
        model = build_model(validate(ModelConfig, config), in_channels=1, num_classes=3, image_size=(8, 8), seed=0)
        model.eval()
        assert np.isfinite(model(images(1, 1, (8, 8))).numpy()).all()


def test_all_layers_come_from_the_factory(name, monkeypatch):
    made = []
    for method in ("conv", "norm", "activation", "max_pool", "avg_pool", "global_pool", "linear", "dropout"):
        original = getattr(LayerFactory, method)

        def record(self, *args, _original=original, **kwargs):
            layer = _original(self, *args, **kwargs)
            made.append(layer)
            return layer

        monkeypatch.setattr(LayerFactory, method, record)
    model = make(name, size=(120, 120))
    leaves = [layer for layer in model.sublayers() if not list(layer.children())]
    strangers = [
        layer for layer in leaves if not any(layer is one for one in made) and not isinstance(layer, nn.Identity)
    ]
    assert not strangers
    assert sum(isinstance(layer, nn.Conv2D) for layer in leaves) >= 3


def test_no_bias_before_a_normalization(name):
    convolutions = [layer for layer in make(name).sublayers() if isinstance(layer, nn.Conv2D)]
    assert all(layer.bias is None for layer in convolutions)
    convolutions = [layer for layer in make(name, norm="none").sublayers() if isinstance(layer, nn.Conv2D)]
    assert all(layer.bias is not None for layer in convolutions)


def test_a_stride_that_leaves_nothing_is_named(name):
    depth = {"resnet": "blocks", "vgg": "convs", "inception": "modules", "mobilenet": "blocks"}[name]
    backbone = {"name": name, depth: [1] * 5, "strides": [2] * 5}
    config = validate(ModelConfig, {"backbone": backbone})
    with pytest.raises(ConfigError, match=r"model\.backbone\.strides\.3: halves a map of 1 x 1 pixels"):
        build_model(config, in_channels=1, num_classes=2, image_size=(8, 8))
    config = validate(ModelConfig, {"backbone": {**backbone, "strides": [1, 2]}})
    with pytest.raises(ConfigError, match=r"model\.backbone\.strides: needs one stride for each of the 5"):
        build_model(config, in_channels=1, num_classes=2, image_size=(8, 8))
    config = validate(ModelConfig, {"backbone": {**backbone, "strides": [1, 3, 1, 1, 1]}})
    with pytest.raises(ConfigError, match=r"model\.backbone\.strides\.1: must be 1 or 2, got 3"):
        build_model(config, in_channels=1, num_classes=2, image_size=(8, 8))


def test_every_option_is_described(name):
    cls = BACKBONES[name]
    assert cls.__doc__
    assert set(cls.space) <= set(cls.Config.model_fields)
    for option in all_options(cls.Config):
        assert option.doc, option.key
