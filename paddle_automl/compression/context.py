"""What a step of compression may use."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from paddle import nn

from paddle_automl.data.augment.base import Augmenter
from paddle_automl.data.parts import PreparedData
from paddle_automl.data.preprocess import Preprocess
from paddle_automl.models.classifier import Classifier
from paddle_automl.training.config import TrainingConfig

Report = Callable[[int, Mapping[str, float]], bool]
"""Called with the epoch, from 1, and its metrics; returns whether to go on."""


def go_on(epoch: int, metrics: Mapping[str, float]) -> bool:
    """Go on: the report of a run that nobody watches."""
    return True


@dataclass(frozen=True)
class TrainedNetwork:
    """A network of another training, with the classes and the images that it knows."""

    network: nn.Layer
    class_names: tuple[str, ...]
    preprocess: Preprocess


@dataclass(frozen=True)
class Context:
    """Everything around the network that a step compresses, or that a teacher teaches.

    `original` is the network that the chain started from; `load_network` opens a trained run's folder and
    `best_networks` gives the networks of the study's best trials, best first: both belong to the caller, who
    knows runs and studies.
    """

    data: PreparedData
    training: TrainingConfig
    """The recipe that the network was trained with."""
    original: Classifier
    seed: int = 0
    augment: Augmenter | None = None
    metric: str = "accuracy"
    """Validation metric by which the epochs of a fine-tuning are compared."""
    goal: str = "maximize"
    device: str = "cpu"
    lock: Path | None = None
    """File under which times are measured: one process of a search at a time."""
    report: Report = field(default=go_on)
    load_network: Callable[[Path], TrainedNetwork] | None = None
    best_networks: Callable[[int], Sequence[TrainedNetwork]] | None = None

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Return (C, H, W) of an image."""
        return self.data.input_shape

    def images(self, count: int, *purpose: str) -> Any:
        """Return `count` training images (or all), normalized, float32 [n, C, H, W], and their labels, int64 [n].

        The same images for the same seed and purpose, drawn without repetition.
        """
        from paddle_automl.core.seeds import generator

        part = self.data.train
        chosen = generator(self.seed, "compression", *purpose).permutation(len(part))[:count]
        return self.data.preprocess.normalize(part.raw(chosen)), part.labels[chosen]
