"""Networks that answer every item with the same class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from paddle_automl.tasks.base import Task
from paddle_automl.tasks.single_label import SingleLabel

KEY = "only_answer"
"""Key of a bundle's metrics with the class."""


def with_only_answer(
    metrics: Mapping[str, Any], task: Task, outputs: np.ndarray, codes: np.ndarray
) -> dict[str, Any]:
    """Return a bundle's metrics with the class that `outputs`, ``[N, K]``, all stand for.

    Such a network has learned nothing that tells items apart. Nothing is noted where the items are of one class, or
    the task has no classes.
    """
    found = {key: value for key, value in metrics.items() if key != KEY}
    if not isinstance(task, SingleLabel) or len(np.unique(codes)) < 2:
        return found
    answers = np.unique(np.argmax(outputs, axis=1))
    return {**found, KEY: task.names[int(answers[0])]} if len(answers) == 1 else found


def sentence_of(metrics: Mapping[str, Any]) -> str:
    """Return what to tell about a bundle of such a network; empty for others."""
    if KEY not in metrics:
        return ""
    return f"'{metrics[KEY]}' for every validation item: nothing that tells classes apart was learned"
