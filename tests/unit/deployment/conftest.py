"""A tiny network, data of arrays and of files, and a finished bundle."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import paddle
import pytest
from paddle import nn
from PIL import Image

from paddle_automl.data.parts import Part, PreparedData
from paddle_automl.data.preprocess import Preprocess
from paddle_automl.data.stores import ArrayStore, FileStore
from paddle_automl.deployment.bundle import Bundle
from paddle_automl.deployment.config import DeploymentConfig
from paddle_automl.deployment.create import create_bundle

NAMES = ("菊花 daisy", "rose", "tulip")


class Net(nn.Layer):
    """Convolution, batch norm, global pooling: [N, C, H, W] to logits [N, 3]."""

    def __init__(self, channels: int = 1, classes: int = 3, scale: float = 4.0):
        super().__init__()
        self.conv = nn.Conv2D(channels, 6, 3, padding=1)
        self.norm = nn.BatchNorm2D(6)
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(6, classes)
        self.scale = scale

    def forward(self, images):
        x = nn.functional.relu(self.norm(self.conv(images)))
        x = nn.functional.adaptive_avg_pool2d(x, 1).flatten(1)
        return self.scale * self.head(self.drop(x))


def make_net(channels: int = 1, seed: int = 3) -> Net:
    paddle.seed(seed)
    net = Net(channels)
    rng = np.random.default_rng(seed)
    net.norm._mean.set_value(rng.normal(0, 0.3, 6).astype("float32"))
    net.norm._variance.set_value(rng.uniform(0.5, 2, 6).astype("float32"))
    centre_logits(net, channels)
    return net


def centre_logits(net: Net, channels: int) -> None:
    """Let no class win everywhere: every logit gets mean 0 and deviation 1 over some images."""
    net.eval()
    images = np.random.default_rng(9).normal(0, 1, (64, channels, 1, 1)) + np.zeros((64, channels, 8, 10))
    with paddle.no_grad():
        logits = net(paddle.to_tensor(images.astype("float32"))) / net.scale
        spread = logits.std(axis=0) * net.scale
        net.head.bias.set_value((net.head.bias - logits.mean(axis=0)) / spread)
        net.head.weight.set_value(net.head.weight / spread)


def make_preprocess(channels: int = 1, size: tuple[int, int] = (8, 10)) -> Preprocess:
    return Preprocess(
        image_size=size, channels=channels, mean=[0.4, 0.5, 0.6][:channels], std=[0.2, 0.25, 0.3][:channels]
    )


def array_data(channels: int = 1, count: int = 90) -> PreparedData:
    preprocess = make_preprocess(channels)
    rng = np.random.default_rng(0)
    # A level per image: with pure noise, global pooling would make all images look alike.
    levels = rng.integers(20, 235, (count, channels, 1, 1))
    pixels = np.clip(levels + rng.normal(0, 25, (count, channels, 8, 10)), 0, 255).astype(np.uint8)
    labels = np.arange(count) % 3
    part = Part(ArrayStore(pixels), np.arange(count), labels, num_classes=3, preprocess=preprocess)
    return PreparedData(
        train=part.with_indices(np.arange(0, 10)),
        validation=part.with_indices(np.arange(10, count)),
        test=part.with_indices(np.arange(0, 5)),
        class_names=NAMES,
        preprocess=preprocess,
    )


def file_data(folder: Path, count: int = 12) -> PreparedData:
    """JPEG, PNG and grey files of varied sizes, streamed from disk, cropped to 8 x 10 RGB."""
    rng = np.random.default_rng(1)
    folder.mkdir(parents=True)
    files = []
    for index in range(count):
        height, width = rng.integers(10, 40, 2)
        shape = (height, width) if index % 4 == 3 else (height, width, 3)
        level = rng.integers(20, 235, (1,) * len(shape))
        pixels = np.clip(level + rng.normal(0, 30, shape), 0, 255).astype(np.uint8)
        # UTF-8 on disk, whatever the locale's encoding is.
        name = f"图 {index}{('.jpg', '.PNG')[index % 2]}"
        files.append(folder / os.fsdecode(name.encode()))
        Image.fromarray(pixels).save(files[-1])
    preprocess = make_preprocess(3)
    part = Part(
        FileStore(files, preprocess.decoder, workers=0),
        np.arange(count),
        np.arange(count) % 3,
        num_classes=3,
        preprocess=preprocess,
        all_files=files,
    )
    return PreparedData(part, part, part, NAMES, preprocess)


def quick(**changes) -> DeploymentConfig:
    return DeploymentConfig.model_validate({"latency": {"warmup": 1, "runs": 3}, **changes})


def tampered(bundle: Bundle, folder: Path) -> Path:
    """Return a copy of a bundle to be spoiled by a test."""
    shutil.copytree(bundle.folder, folder)
    return folder


@pytest.fixture(scope="session")
def net() -> Net:
    return make_net()


@pytest.fixture(scope="session")
def data() -> PreparedData:
    return array_data()


@pytest.fixture(scope="session")
def bundle(net, data, tmp_path_factory) -> Bundle:
    return create_bundle(
        net,
        folder=tmp_path_factory.mktemp("bundles") / "我的 model",
        data=data,
        deployment=quick(),
        config={"model": {"backbone": "tiny"}, "note": "1e-3"},
        metrics={"validation": {"accuracy": np.float64(0.5)}, "rows": np.arange(2)},
    )
