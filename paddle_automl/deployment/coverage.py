"""How many true numbers lie in the intervals of a network."""

from __future__ import annotations

import numpy as np

from paddle_automl.deployment.rejection_records import IntervalsRecord
from paddle_automl.tasks.base import Task
from paddle_automl.tasks.regression import Regression


def intervals_record(task: Task, outputs: np.ndarray, codes: np.ndarray, held_out: bool) -> IntervalsRecord | None:
    """Return how many of the numbers `codes`, ``[N, D]``, lie in the intervals of a network's `outputs`.

    None if the task has no intervals or there are no items.
    """
    if not isinstance(task, Regression) or task.fitted.interval is None or not len(codes):
        return None
    plain = type(task)(task.fitted.model_copy(update={"offset": ()}))
    moved = np.array(plain.final.shift) - np.array(task.final.shift)
    return IntervalsRecord(
        target=task.fitted.interval,
        items=len(codes),
        held_out=held_out,
        coverage=_coverage(task, outputs, codes),
        coverage_before=_coverage(plain, outputs + moved, codes),
    )


def _coverage(task: Regression, outputs: np.ndarray, codes: np.ndarray) -> dict[str, float]:
    found = task.covered(outputs, codes).mean(axis=0)
    return {name: round(float(value), 6) for name, value in zip(task.names, found, strict=True)}
