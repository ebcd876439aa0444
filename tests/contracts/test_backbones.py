"""Every backbone against its contract, and what all backbones of stages share."""

import numpy as np
import paddle
import pytest
from paddle import nn

from paddle_automl.core.errors import ConfigError
from paddle_automl.core.loading import validate
from paddle_automl.inputs.base import INPUTS, TensorSpec
from paddle_automl.models.backbones.base import BACKBONES, Backbone, ImageBackbone
from paddle_automl.models.config import ModelConfig
from paddle_automl.models.network import build_network
from paddle_automl.models.staged import Staged
from paddle_automl.testing.backbones import BackboneContract, image_input

CLASSES = [BACKBONES[name] for name in BACKBONES.names()]
STAGED = [cls.name for cls in CLASSES if issubclass(cls, Staged)]

AFTER_STAGES = {
    "mobilenet": ["last"],
    "mobilenet_v3": ["last", "wide"],
    "nas_bench_201": ["last"],
    "pp_lcnet": ["wide"],
}
"""Names in the state dict of what follows the stages, by backbone."""

staged = pytest.mark.parametrize("name", STAGED)


class Patches(ImageBackbone):
    """A backbone without width, depth or maps: patches, mixed by linear layers (as in Tolstikhin et al. 2021)."""

    def __init__(self, config, *, in_channels, layers, image_size):
        nn.Layer.__init__(self)
        side = min(4, *image_size)
        self.cut = layers.avg_pool(side)
        self.mix = layers.linear(in_channels * (image_size[0] // side) * (image_size[1] // side), 6)
        self.act = layers.activation()
        self.out_channels = 6

    def forward(self, x):
        return self.act(self.mix(self.cut(x).flatten(1)))


@pytest.mark.parametrize("plugin", [*CLASSES, Patches], ids=lambda cls: cls.__name__)
class TestBackbones(BackboneContract):
    pass


def build(name, size=(8, 8), channels=1, **options):
    config = validate(
        ModelConfig, {"backbone": {"name": name, "width": 8, **options.pop("backbone", {})}, **options}
    )
    return build_network(config, image_input(channels, *size), 2, seed=0)


@staged
def test_no_bias_before_a_normalization(name):
    # Attention blocks have biases: no normalization follows them.
    plain = {"backbone": {"attention": "none"} if "attention" in BACKBONES[name].Config.model_fields else {}}
    convolutions = [layer for layer in build(name, **plain).sublayers() if isinstance(layer, nn.Conv2D)]
    assert len(convolutions) >= 3
    assert all(layer.bias is None for layer in convolutions)
    convolutions = [layer for layer in build(name, norm="none").sublayers() if isinstance(layer, nn.Conv2D)]
    assert all(layer.bias is not None for layer in convolutions)


@staged
def test_a_stride_that_leaves_nothing_is_named(name):
    depth = {BACKBONES[name].depth: [1] * 5}
    with pytest.raises(ConfigError, match=r"model\.backbone\.strides\.3: halves a map of 1 x 1 pixels"):
        build(name, backbone={**depth, "strides": [2] * 5})
    with pytest.raises(ConfigError, match=r"model\.backbone\.strides: needs one stride for each of the 5"):
        build(name, backbone={**depth, "strides": [1, 2]})
    with pytest.raises(ConfigError, match=r"model\.backbone\.strides\.1: must be 1 or 2, got 3"):
        build(name, backbone={**depth, "strides": [1, 3, 1, 1, 1]})


@staged
def test_state_dict_names_are_those_of_earlier_weights(name):
    names = list(build(name).state_dict())
    assert names[-2:] == ["fc.weight", "fc.bias"]
    places = {part for key in names[:-2] for part in [key.removeprefix("backbone.").split(".")[0]]}
    assert places == {"stem", "stages", *AFTER_STAGES.get(name, ())}
    assert any(key.startswith("backbone.stages.0.0.") for key in names)


def test_a_backbone_of_another_input_is_refused(monkeypatch):
    class Vectors(INPUTS["image"]):
        """Stands in for another input."""

        name = "vectors"
        specs = (TensorSpec("vector", (5,)),)

    given = Vectors(image_input(1, 8, 8).fitted)
    message = (
        "model.backbone: 'resnet' takes image input, but the data are vectors input; no backbone takes vectors"
    )
    with pytest.raises(ConfigError, match=message):
        build_network(validate(ModelConfig, {}), given, 2)
    monkeypatch.setattr(BACKBONES["vgg"], "takes", "vectors")
    with pytest.raises(ConfigError, match="the data are vectors input; use one of vgg"):
        build_network(validate(ModelConfig, {}), given, 2)


def test_features_of_several_arrays_reach_the_head():
    class Sum(Backbone):
        """Adds two vectors."""

        takes = "image"
        out_features = 3

        @classmethod
        def build(cls, config, *, input, layers):
            return cls()

        def forward(self, first, second):
            return first + second

    from paddle_automl.models.layers import LayerFactory
    from paddle_automl.models.network import Network
    from paddle_automl.models.norms import NORMS

    layers = LayerFactory("relu", NORMS["none"].Config(name="none"), "kaiming_normal")
    model = Network(Sum(), layers, outputs=2, dropout=0.0)
    a, b = paddle.ones([4, 3]), paddle.full([4, 3], 2.0)
    assert np.array_equal(model.features(a, b).numpy(), np.full((4, 3), 3.0))
    assert np.array_equal(model(a, b).numpy(), model.head(paddle.full([4, 3], 3.0)).numpy())
