"""The four networks and the training step in the style of Paddle's tutorials.

Convolutions keep their bias, means and maxima over axes are `mean` and `max`, the optimizer is a plain Momentum.
"""

from __future__ import annotations

from collections.abc import Callable

import paddle
from paddle import Tensor, nn
from paddle.nn import functional as F

from paddle_automl.benchmarks.training.workloads import (
    CLASSES,
    LEARNING_RATE,
    MOBILE_STAGES,
    MOMENTUM,
    TEXT_DROPOUT,
    TEXT_FILTERS,
    TEXT_KERNELS,
    TOKEN_WIDTH,
    VOCABULARY,
    Workload,
)


def make_step(name: str, workload: Workload) -> Callable[[], float]:
    """Return a function that trains the network `name` by one batch and returns the loss."""
    model: nn.Layer = {"cnn": _cnn, "resnet18": _ResNet18, "mobilenet": _mobilenet, "textcnn": _TextCNN}[name]()
    optimizer = paddle.optimizer.Momentum(LEARNING_RATE, MOMENTUM, parameters=model.parameters())
    criterion = nn.CrossEntropyLoss()
    inputs, labels = paddle.to_tensor(workload.inputs()), paddle.to_tensor(workload.labels())
    model.train()

    def step() -> float:
        loss = criterion(model(inputs), labels)
        loss.backward()
        optimizer.step()
        optimizer.clear_grad()
        return float(loss)

    return step


def _conv(channels: int, width: int, kernel: int, stride: int = 1, groups: int = 1) -> list[nn.Layer]:
    conv = nn.Conv2D(channels, width, kernel, stride=stride, padding=kernel // 2, groups=groups)
    return [conv, nn.BatchNorm2D(width)]


class _Mean(nn.Layer):
    def forward(self, x: Tensor) -> Tensor:
        return x.mean([2, 3])


def _cnn() -> nn.Layer:
    relu, pool = nn.ReLU, nn.MaxPool2D
    return nn.Sequential(
        *_conv(1, 32, 3), relu(), *_conv(32, 32, 3), relu(), pool(2),
        *_conv(32, 64, 3), relu(), *_conv(64, 64, 3), relu(), _Mean(), nn.Linear(64, CLASSES),
    )  # fmt: skip


class _Block(nn.Layer):
    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(*_conv(channels, width, 3, stride), nn.ReLU(), *_conv(width, width, 3))
        projected = stride != 1 or channels != width
        self.shortcut = nn.Sequential(*_conv(channels, width, 1, stride)) if projected else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.body(x) + self.shortcut(x))


class _ResNet18(nn.Layer):
    def __init__(self) -> None:
        super().__init__()
        blocks, channels = [], 64
        for width, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
            blocks += [_Block(channels, width, stride), _Block(width, width, 1)]
            channels = width
        self.body = nn.Sequential(*_conv(3, 64, 3), nn.ReLU(), *blocks, _Mean(), nn.Linear(channels, CLASSES))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.body(x)
        return y


class _Inverted(nn.Layer):
    def __init__(self, channels: int, width: int, expansion: int, stride: int) -> None:
        super().__init__()
        inner = channels * expansion
        steps = [*_conv(channels, inner, 1), nn.ReLU6()] if expansion > 1 else []
        steps += [*_conv(inner, inner, 3, stride, inner), nn.ReLU6(), *_conv(inner, width, 1)]
        self.body = nn.Sequential(*steps)
        self.residual = stride == 1 and channels == width

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.body(x)
        return x + y if self.residual else y


def _mobilenet() -> nn.Layer:
    blocks, channels = [], 32
    for expansion, width, count, stride in MOBILE_STAGES:
        for index in range(count):
            blocks.append(_Inverted(channels, width, expansion, stride if index == 0 else 1))
            channels = width
    return nn.Sequential(
        *_conv(3, 32, 3),
        nn.ReLU6(),
        *blocks,
        *_conv(channels, 1280, 1),
        nn.ReLU6(),
        _Mean(),
        nn.Linear(1280, CLASSES),
    )


class _TextCNN(nn.Layer):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, TOKEN_WIDTH)
        self.convs = nn.LayerList([nn.Conv1D(TOKEN_WIDTH, TEXT_FILTERS, width) for width in TEXT_KERNELS])
        self.dropout = nn.Dropout(TEXT_DROPOUT)
        self.fc = nn.Linear(TEXT_FILTERS * len(TEXT_KERNELS), CLASSES)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embedding(tokens).transpose([0, 2, 1])
        found = [F.relu(conv(x)).max(axis=-1) for conv in self.convs]
        y: Tensor = self.fc(self.dropout(paddle.concat(found, axis=1)))
        return y
