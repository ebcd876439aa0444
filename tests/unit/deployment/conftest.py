"""A tiny network, data of arrays and of files, and a finished bundle."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import paddle
import pytest
import yaml
from paddle import nn
from PIL import Image

from paddle_automl.core.yaml_io import dump_yaml
from paddle_automl.data.splits import Everything, PreparedData, Split
from paddle_automl.data.stores import ArrayStore, SourceStore, Store
from paddle_automl.deployment.bundle import Bundle
from paddle_automl.deployment.config import DeploymentConfig
from paddle_automl.deployment.create import create_bundle
from paddle_automl.deployment.integrity import sealed
from paddle_automl.inputs.image.input import ImageFitted, ImageInput
from paddle_automl.tasks.base import RawTargets, Task
from paddle_automl.tasks.single_label import SingleLabel

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


def make_input(channels: int = 1, size: tuple[int, int] = (8, 10)) -> ImageInput:
    mean, std = [0.4, 0.5, 0.6][:channels], [0.2, 0.25, 0.3][:channels]
    return ImageInput(ImageFitted(name="image", size=size, channels=channels, mean=mean, std=std))


def make_task(names: tuple[str, ...] = NAMES) -> SingleLabel:
    return SingleLabel(SingleLabel.Fitted(name="single_label", names=names))


def make_split(store: Store, input: ImageInput, targets: RawTargets, task: Task, sources=None) -> Split:
    everything = Everything(store, targets, task.encode(targets), input, task, sources)
    return Split(everything, np.arange(len(targets)))


def classes(count: int, names: tuple[str, ...] = NAMES) -> RawTargets:
    return RawTargets("classes", np.arange(count) % len(names), names)


def pixels_of(count: int, channels: int = 1) -> np.ndarray:
    rng = np.random.default_rng(0)
    # A level per image: with pure noise, global pooling would make all images look alike.
    levels = rng.integers(20, 235, (count, channels, 1, 1))
    return np.clip(levels + rng.normal(0, 25, (count, channels, 8, 10)), 0, 255).astype(np.uint8)


def array_data(channels: int = 1, count: int = 90, targets: RawTargets | None = None, task=None) -> PreparedData:
    input, task = make_input(channels), task or make_task()
    split = make_split(ArrayStore(pixels_of(count, channels)), input, targets or classes(count), task)
    return PreparedData(
        train=split.with_indices(np.arange(0, 10)),
        validation=split.with_indices(np.arange(10, count)),
        test=split.with_indices(np.arange(0, 5)),
        input=input,
        task=task,
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
    input, task = make_input(3), make_task()
    store = SourceStore(files, input.decoder, workers=0)
    split = make_split(store, input, classes(count), task, tuple(files))
    return PreparedData(split, split, split, input, task)


def quick(**changes) -> DeploymentConfig:
    return DeploymentConfig.model_validate({"latency": {"warmup": 1, "runs": 3}, **changes})


def tampered(bundle: Bundle, folder: Path) -> Path:
    """Return a copy of a bundle to be spoiled by a test."""
    shutil.copytree(bundle.folder, folder)
    return folder


def edited(folder: Path, change, *, seal: bool = True) -> Path:
    """Change the content of a ``bundle.yaml``, as somebody's script might, and make its hash fit if `seal`."""
    path = folder / "bundle.yaml"
    facts = yaml.safe_load(path.read_text(encoding="utf-8"))
    change(facts)
    text = sealed(facts) if seal else dump_yaml(facts)
    path.write_text(text, encoding="utf-8")
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
