"""Data and helpers for the steps of compression."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import paddle
from paddle import Tensor, nn

from paddle_automl.core.errors import UnsupportedError
from paddle_automl.core.seeds import generator
from paddle_automl.data.augment.base import Augmenter
from paddle_automl.data.splits import PreparedData
from paddle_automl.deployment.rejection_records import Choice
from paddle_automl.inputs.base import Arrays, Input, TensorSpec
from paddle_automl.models.network import Network
from paddle_automl.tasks.base import Task
from paddle_automl.training.config import TrainingConfig
from paddle_automl.training.goal import Goal

Report = Callable[[int, Mapping[str, float]], bool]
"""Called with the epoch, from 1, and its metrics; returns whether to continue."""


def go_on(epoch: int, metrics: Mapping[str, float]) -> bool:
    """Return True: the report function of a run without a listener."""
    return True


@dataclass(frozen=True)
class TrainedNetwork:
    """A network of another training, with its input and its task."""

    network: nn.Layer
    input: Input
    task: Task


@dataclass(frozen=True)
class Context:
    """Data, recipe and helpers for the steps of a chain, and for the teachers of a training.

    `original` is the network that the chain started from. `load_network` opens a trained run's folder and
    `best_networks` returns the networks of the study's best trials, best first: the caller provides both, because
    this package does not know runs and studies.
    """

    data: PreparedData
    training: TrainingConfig
    """The recipe that the network was trained with."""
    original: Network
    seed: int = 0
    augment: Augmenter | None = None
    goal: Goal | None = None
    """The metric by which a fine-tuning chooses its best epoch; None: the task's main one."""
    tune_task: bool = True
    """Whether values that a task chooses on validation, such as thresholds of labels, are chosen again for each
    network of the chain; false if the original network was trained on the validation items, or if those of further
    folds were used too (`Task.calibrates_on_folds`)."""
    score: Choice | None = None
    """The rejection score that was chosen for the original network."""
    device: str = "cpu"
    lock: Path | None = None
    """File that is locked while times are measured, so that only one process of a search does so at a time."""
    report: Report = field(default=go_on)
    load_network: Callable[[Path], TrainedNetwork] | None = None
    best_networks: Callable[[int], Sequence[TrainedNetwork]] | None = None

    @property
    def task(self) -> Task:
        """Return the task of the data."""
        return self.data.task

    @property
    def specs(self) -> tuple[TensorSpec, ...]:
        """Return the arrays that the network takes."""
        return self.data.specs

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Return (C, H, W) of an image; for steps that support only images.

        Raises UnsupportedError for other items.
        """
        if len(self.specs) != 1 or len(self.specs[0].shape) != 3:
            names = ", ".join(spec.name for spec in self.specs)
            raise UnsupportedError(f"the step works on images, but the network takes {names}; leave it out")
        channels, height, width = self.specs[0].shape
        return int(channels or 0), int(height or 0), int(width or 0)

    def tuned(self, outputs: np.ndarray) -> Task:
        """Return the task for a network with `outputs` [N, K] for the validation items; see `tune_task`."""
        codes = self.data.validation.codes
        return self.task.tuned(outputs, codes).calibrated(outputs, codes) if self.tune_task else self.task

    def sample(self, count: int, *purpose: str) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """Return `count` training items (or all) as the network's arrays [n, ...], and their codes [n, ...].

        The same items for the same seed and purpose, drawn without repetition.
        """
        split = self.data.train
        chosen = generator(self.seed, "compression", *purpose).permutation(len(split))[:count]
        return self.data.input.batch(split.raw(chosen)), split.codes[chosen]


def tensors(arrays: Arrays) -> list[Tensor]:
    """Return a network's arrays as its arguments."""
    return [paddle.to_tensor(array) for array in arrays.values()]
