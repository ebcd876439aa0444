"""The training items as a whole, for backbones that compute weights from all of them at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from paddle_automl.inputs.ragged import Ragged
from paddle_automl.tasks.base import Activation


@dataclass(frozen=True)
class Problem:
    """All n training items.

    `read` returns an array of the input, such as ``ngrams``, for all items; raises ValueError for an input whose
    items have no rows of their own lengths. `targets` float32 ``[n, K]`` are those of the loss (`Task.dense`),
    `weights` float64 ``[K]`` are weights of the classes or labels, None without any. `activation` is the task's:
    softmax: one class of K; sigmoid: K labels; identity: K numbers. `seed` is for algorithms that need random
    numbers. `levels` are the quantiles that K numbers predict, such as 0.05 for the lower end of an interval; None
    or 0.5 for a number itself.
    """

    read: Callable[[str], Ragged]
    targets: np.ndarray
    activation: Activation
    weights: np.ndarray | None = None
    seed: int = 0
    levels: tuple[float, ...] | None = None
