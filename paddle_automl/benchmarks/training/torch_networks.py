"""The four networks in PyTorch, in the fastest common form for a CPU.

Channels last (for words a convolution over maps of one row, which is faster than ``Conv1d``), no bias before a
normalization, bfloat16 by autocast. Imported only by a worker whose interpreter has PyTorch.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

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


def make_step(name: str, workload: Workload, dtype: str) -> Callable[[], float]:
    """Return a function that trains the network `name` by one batch in `dtype` and returns the loss."""
    kinds = {"cnn": _cnn, "resnet18": _resnet18, "mobilenet": _mobilenet, "textcnn": _TextCNN}
    model: nn.Module = kinds[name]().to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(model.parameters(), LEARNING_RATE, MOMENTUM)
    criterion = nn.CrossEntropyLoss()
    inputs, labels = torch.from_numpy(workload.inputs()), torch.from_numpy(workload.labels())
    if not workload.tokens:
        inputs = inputs.contiguous(memory_format=torch.channels_last)
    model.train()

    def step() -> float:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype == "bfloat16"):
            loss = criterion(model(inputs), labels)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return float(loss)

    return step


def _conv(channels: int, width: int, kernel: int, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    conv = nn.Conv2d(channels, width, kernel, stride, kernel // 2, groups=groups, bias=False)
    return [conv, nn.BatchNorm2d(width)]


def _head(channels: int) -> list[nn.Module]:
    return [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, CLASSES)]


def _relu() -> nn.Module:
    return nn.ReLU(inplace=True)


def _cnn() -> nn.Module:
    return nn.Sequential(
        *_conv(1, 32, 3), _relu(), *_conv(32, 32, 3), _relu(), nn.MaxPool2d(2),
        *_conv(32, 64, 3), _relu(), *_conv(64, 64, 3), _relu(), *_head(64),
    )  # fmt: skip


class _Block(nn.Module):
    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(*_conv(channels, width, 3, stride), _relu(), *_conv(width, width, 3))
        projected = stride != 1 or channels != width
        self.shortcut = nn.Sequential(*_conv(channels, width, 1, stride)) if projected else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.body(x) + self.shortcut(x), inplace=True)


def _resnet18() -> nn.Module:
    blocks, channels = [], 64
    for width, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
        blocks += [_Block(channels, width, stride), _Block(width, width, 1)]
        channels = width
    return nn.Sequential(*_conv(3, 64, 3), _relu(), *blocks, *_head(channels))


class _Inverted(nn.Module):
    def __init__(self, channels: int, width: int, expansion: int, stride: int) -> None:
        super().__init__()
        inner = channels * expansion
        steps = [*_conv(channels, inner, 1), nn.ReLU6(inplace=True)] if expansion > 1 else []
        steps += [*_conv(inner, inner, 3, stride, inner), nn.ReLU6(inplace=True), *_conv(inner, width, 1)]
        self.body = nn.Sequential(*steps)
        self.residual = stride == 1 and channels == width

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x) if self.residual else self.body(x)


def _mobilenet() -> nn.Module:
    blocks, channels = [], 32
    for expansion, width, count, stride in MOBILE_STAGES:
        for index in range(count):
            blocks.append(_Inverted(channels, width, expansion, stride if index == 0 else 1))
            channels = width
    last = [*_conv(channels, 1280, 1), nn.ReLU6(inplace=True)]
    return nn.Sequential(*_conv(3, 32, 3), nn.ReLU6(inplace=True), *blocks, *last, *_head(1280))


class _TextCNN(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, TOKEN_WIDTH)
        self.convs = nn.ModuleList([nn.Conv2d(TOKEN_WIDTH, TEXT_FILTERS, (1, width)) for width in TEXT_KERNELS])
        self.dropout = nn.Dropout(TEXT_DROPOUT)
        self.fc = nn.Linear(TEXT_FILTERS * len(TEXT_KERNELS), CLASSES)

    def forward(self, tokens: Tensor) -> Tensor:
        # [N, 1, L, C] viewed as [N, C, 1, L] is channels last without a copy.
        x = self.embedding(tokens)[:, None].permute(0, 3, 1, 2)
        found = [F.adaptive_max_pool2d(F.relu(conv(x)), 1).flatten(1) for conv in self.convs]
        return self.fc(self.dropout(torch.cat(found, 1)))
