"""The parameters of the four networks; their implementations for each framework are in `*_networks`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from paddle_automl.core.seeds import generator

CLASSES = 10
VOCABULARY, TOKEN_WIDTH = 20_000, 128
MOMENTUM, LEARNING_RATE = 0.9, 0.01
MOBILE_STAGES = (
    # (factor of the channels inside the block, channels, blocks, stride of the first one)
    (1, 16, 1, 1),
    (6, 24, 2, 1),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
"""MobileNetV2 (Sandler et al. 2018, table 2) with a stride of 1 in the stem and the first two stages, as is usual
for 32 x 32 pixels."""
TEXT_KERNELS, TEXT_FILTERS, TEXT_DROPOUT = (3, 4, 5), 128, 0.5
"""Kim 2014: convolutions over 3, 4 and 5 words, maximum over time, dropout, linear layer."""


@dataclass(frozen=True)
class Workload:
    """A network's input and the work of a step."""

    title: str
    batch: int
    shape: tuple[int, ...]
    """Of one example: channels, height, width; or the number of tokens."""
    mflop: float
    """Floating-point operations (10^6) of convolutions and linear layers for one example, forward and backward:
    two per multiply-accumulate, three passes, two for the first layer, whose input needs no gradient."""
    tokens: bool = False

    def inputs(self) -> np.ndarray[Any, Any]:
        """Return one batch of random examples: float32 [N, C, H, W] or int64 [N, L]."""
        random = generator(0, "benchmark", self.title)
        if self.tokens:
            return random.integers(0, VOCABULARY, (self.batch, *self.shape))
        return random.standard_normal((self.batch, *self.shape), dtype=np.float32)

    def labels(self) -> np.ndarray[Any, Any]:
        """Return random classes, int64 [N]."""
        return generator(0, "benchmark", self.title, "labels").integers(0, CLASSES, self.batch)


WORKLOADS = {
    "cnn": Workload("4-convolution CNN, 28x28", 128, (1, 28, 28), 109.3),
    "resnet18": Workload("ResNet-18, 32x32", 32, (3, 32, 32), 3329.0),
    "mobilenet": Workload("MobileNetV2-like, 32x32", 32, (3, 32, 32), 526.0),
    "textcnn": Workload("TextCNN, 64 words", 64, (64,), 71.8, tokens=True),
}
