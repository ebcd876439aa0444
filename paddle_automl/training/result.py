"""What a training ends with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from paddle_automl.tasks.base import Task

Stopped = Literal["", "patience", "report"]


@dataclass
class TrainingResult:
    """Result of a training run."""

    metrics: dict[str, float]
    """Validation metrics of the weights that were kept: those of an epoch, or a mean of several epochs' weights (a
    soup). Empty if there was no validation."""
    best_epoch: int
    """Epoch, from 1, whose weights the network has at the end: the best one, or the last one if that is kept. Where
    a soup was kept, the epoch that is best by itself."""
    epochs_run: int
    stopped: Stopped
    """Why it ended before the last epoch; empty if it did not."""
    seconds: float
    amp: str
    """The precision that was used, such as ``float32`` or ``bfloat16 O1``."""
    task: Task
    """The task, tuned on the validation outputs of the weights that were kept (see `Task.tuned`); the metrics of
    each epoch are measured with the task tuned on that epoch's outputs."""
    outputs: np.ndarray | None = None
    """The validation outputs of these weights, float32 ``[N, K]``, before the task is calibrated; None without
    validation."""
    solved_s: float = 0.0
    """Seconds before that for weights that were computed from all items at once (`solving.solve`)."""
    only_solved: bool = False
    """Whether all weights were computed so: nothing was learned in steps."""
