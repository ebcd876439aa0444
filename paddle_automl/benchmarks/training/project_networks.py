"""The four networks built from this project's layers, trained by its learner."""

from __future__ import annotations

import paddle
from paddle import Tensor, nn

from paddle_automl.benchmarks.training.workloads import (
    CLASSES,
    MOBILE_STAGES,
    TEXT_DROPOUT,
    TEXT_FILTERS,
    TEXT_KERNELS,
    TOKEN_WIDTH,
    VOCABULARY,
    Workload,
)
from paddle_automl.inputs.base import TensorSpec
from paddle_automl.inputs.image.input import ImageInput
from paddle_automl.inputs.image.options import ImageFitted
from paddle_automl.models.backbones.base import Backbone, ImageBackbone
from paddle_automl.models.backbones.mobilenet import InvertedResidual
from paddle_automl.models.config import ModelConfig
from paddle_automl.models.kernels import layers as fast
from paddle_automl.models.layers import LayerFactory
from paddle_automl.models.network import Network, build_network
from paddle_automl.tasks.single_label import SingleLabel

BACKBONES = {
    "cnn": {"name": "vgg", "width": 32, "convs": [1, 2]},
    "resnet18": {"name": "resnet", "width": 64, "blocks": [2, 2, 2, 2]},
}
"""Networks that are a backbone of this project with some options."""


def build(name: str, workload: Workload) -> Network:
    """Return the network `name` of `WORKLOADS`."""
    if name in BACKBONES:
        config = ModelConfig.model_validate({"backbone": BACKBONES[name]})
        return build_network(config, image_input(workload), CLASSES)
    layers = _factory("relu6" if name == "mobilenet" else "relu")
    if name == "mobilenet":
        return Network(MobileNetV2(workload.shape[0], layers), layers, outputs=CLASSES, dropout=0.0)
    return Network(Words(layers), layers, outputs=CLASSES, dropout=TEXT_DROPOUT)


def image_input(workload: Workload) -> ImageInput:
    """Return the input of images of the workload's shape."""
    channels, height, width = workload.shape
    return ImageInput(
        ImageFitted(
            name="image",
            size=(height, width),
            channels=1 if channels == 1 else 3,
            mean=(0.5,) * channels,
            std=(0.3,) * channels,
        )
    )


def spec_of(workload: Workload) -> TensorSpec:
    """Return the only array that the workload's network takes."""
    if workload.tokens:
        return TensorSpec("tokens", workload.shape, "int64")
    return TensorSpec("image", workload.shape)


def task_of_classes() -> SingleLabel:
    """Return the task of all workloads: one of `CLASSES` classes."""
    return SingleLabel(SingleLabel.Fitted(name="single_label", names=tuple(map(str, range(CLASSES)))))


def _factory(activation: str) -> LayerFactory:
    config = ModelConfig.model_validate({"activation": activation})
    return LayerFactory(config.activation, config.norm, config.initializer)


class MobileNetV2(ImageBackbone):
    """Inverted residuals with linear bottlenecks (Sandler et al. 2018)."""

    def __init__(self, in_channels: int, layers: LayerFactory) -> None:
        nn.Layer.__init__(self)
        blocks: list[nn.Layer] = [layers.conv_norm_act(in_channels, 32, 3)]
        channels = 32
        for expansion, width, count, stride in MOBILE_STAGES:
            for index in range(count):
                step = stride if index == 0 else 1
                adds = step == 1 and channels == width
                blocks.append(InvertedResidual(layers, channels, width, 3, step, expansion, adds))
                channels = width
        self.out_channels = 1280
        self.body = nn.Sequential(*blocks, layers.conv_norm_act(channels, self.out_channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, C, H, W] to [N, 1280, h, w]."""
        y: Tensor = self.body(x)
        return y


class Words(Backbone):
    """Kim 2014: embedding and convolutions over words; the maximum over time of each filter."""

    def __init__(self, layers: LayerFactory) -> None:
        nn.Layer.__init__(self)
        self.embedding = nn.Embedding(VOCABULARY, TOKEN_WIDTH)
        self.convs = nn.LayerList([fast.Conv1D(TOKEN_WIDTH, TEXT_FILTERS, width) for width in TEXT_KERNELS])
        self.activation = layers.activation()
        self.pool = fast.AdaptiveMaxPool1D(1)
        self.out_features = TEXT_FILTERS * len(TEXT_KERNELS)

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens [N, L] to features [N, out_features]."""
        words = fast.fork(self.embedding(x).transpose([0, 2, 1]), len(self.convs))
        # The maximum commutes with ReLU, and the pooled maps are 60 times smaller.
        found = [self.pool(conv(x)).flatten(1) for conv, x in zip(self.convs, words, strict=True)]
        features: Tensor = self.activation(paddle.concat(found, axis=1))
        return features
