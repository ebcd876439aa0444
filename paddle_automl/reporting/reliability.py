"""Whether predicted probabilities can be believed: stated probability against observed frequency."""

from __future__ import annotations

from typing import Any

import numpy as np

from paddle_automl.tasks.base import Task
from paddle_automl.tasks.calibration import calibration_error
from paddle_automl.tasks.classification import NamedTask

BINS = 10
"""Groups of the drawing."""
ERROR_BINS = 15
"""Groups of the calibration error, as those of the metric."""


def reliability(task: Task, outputs: np.ndarray, codes: np.ndarray) -> dict[str, Any] | None:
    """Return groups of predictions by their probability, with how often each was right; None without probabilities.

    `outputs` float32 [N, K], `codes` [N, ...]. With one class per item the likeliest class counts, with several
    labels every label of every item. Each group has ``from``, ``to``, ``count``, and of its predictions the mean
    ``probability`` and the ``frequency`` of right ones. ``error`` is the expected calibration error (Guo et al.
    2017, eq. 3).
    """
    if not isinstance(task, NamedTask) or not len(outputs) or not np.isfinite(outputs).all():
        return None
    true = task.applying(codes)
    if task.final.activation == "softmax":
        rows, best = np.arange(len(outputs)), outputs.argmax(axis=1)
        stated, right = outputs[rows, best], true[rows, best]
    else:
        stated, right = outputs.ravel(), true.ravel()
    stated = np.clip(stated.astype(np.float64), 0, 1)
    place = np.clip(np.ceil(stated * BINS).astype(np.int64) - 1, 0, BINS - 1)
    groups = []
    for group in range(BINS):
        inside = place == group
        if inside.any():
            groups.append(
                {
                    "from": group / BINS,
                    "to": (group + 1) / BINS,
                    "count": int(inside.sum()),
                    "probability": round(float(stated[inside].mean()), 6),
                    "frequency": round(float(right[inside].mean()), 6),
                }
            )
    return {
        "groups": groups,
        "error": round(calibration_error(stated, right, ERROR_BINS), 6),
        "predictions": len(stated),
        "of": "answers" if task.final.activation == "softmax" else "labels",
    }
