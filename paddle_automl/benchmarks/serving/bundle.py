"""The bundle that is served: a small network for images of 32 x 32 pixels, with weights at random."""

from __future__ import annotations

from pathlib import Path

import paddle

from paddle_automl.deployment.bundle import Bundle
from paddle_automl.deployment.exporters.paddle_inference import PaddleInferenceExporter
from paddle_automl.inputs.image.input import ImageInput
from paddle_automl.inputs.image.options import ImageFitted
from paddle_automl.models.config import ModelConfig
from paddle_automl.models.network import build_network
from paddle_automl.tasks.single_label import SingleLabel

BACKBONE = {"name": "vgg", "width": 32, "convs": [1, 2]}
SIZE, CHANNELS, CLASSES = 32, 3, 10


def write_bundle(folder: Path) -> Bundle:
    """Write the bundle into the empty `folder`; training would change no time."""
    source = ImageInput(
        ImageFitted(name="image", size=(SIZE, SIZE), channels=3, mean=(0.5,) * CHANNELS, std=(0.3,) * CHANNELS)
    )
    paddle.seed(0)
    network = build_network(ModelConfig.model_validate({"backbone": BACKBONE}), source, CLASSES)
    return Bundle.write(
        folder,
        model=network,
        exporter=PaddleInferenceExporter.Config(name="paddle_inference"),
        input=source,
        task=SingleLabel(SingleLabel.Fitted(name="single_label", names=tuple(map(str, range(CLASSES))))),
    )
