"""A network's outputs and metrics on a split of the data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import paddle
from paddle import nn

from paddle_automl.data.running import fitting_batch
from paddle_automl.paddle_compat.modes import evaluating
from paddle_automl.tasks.metrics.base import Predictions
from paddle_automl.tasks.metrics.spelling import measure
from paddle_automl.training.final import final_tensor

if TYPE_CHECKING:
    from paddle_automl.data.splits import Split


def predict(model: nn.Layer, split: Split, batch_size: int = 256) -> np.ndarray:
    """Return the outputs of all items of `split` in its order, float32 [N, K], after `Task.final`.

    `model` returns raw outputs; it runs in evaluation mode, and its mode is restored afterwards. Batches of large
    items are smaller than `batch_size`; see `data.running.fitting_batch`.
    """
    final = split.task.final
    outputs, rows = [], []
    batch_size = fitting_batch((spec.shape for spec in split.input.specs), batch_size)
    with evaluating(model), paddle.no_grad():
        for batch in split.batches(batch_size, by_length=True):
            raw = model(*(paddle.to_tensor(array) for array in batch.inputs.values()))
            outputs.append(final_tensor(raw.astype("float32"), final).numpy())
            rows.append(batch.rows)
    found = np.concatenate(outputs)
    result = np.empty_like(found)
    result[np.concatenate(rows)] = found
    return result


def evaluate(model: nn.Layer, split: Split, metrics: Sequence[str], batch_size: int = 256) -> dict[str, float]:
    """Return the metrics (canonical keys of `tasks.metrics`) of `model` on `split`, in the order of the task."""
    return measure(metrics, Predictions(predict(model, split, batch_size), split.codes, split.task))
