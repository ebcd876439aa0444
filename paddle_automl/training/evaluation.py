"""A network's predictions on a part of the data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import paddle
from paddle import nn
from paddle.nn import functional as F

from paddle_automl.training.metrics import scores

if TYPE_CHECKING:
    from paddle_automl.data.prepare import Part

Array = np.ndarray[Any, Any]


def predict_probabilities(model: nn.Layer, part: Part, batch_size: int = 256) -> tuple[Array, Array]:
    """Return probabilities float32 [N, K] and labels int64 [N] of `part` in its own order.

    `model` gives logits; it is run in evaluation mode and returned to the mode it was in.
    """
    probabilities, labels = [], []
    training = model.training
    model.eval()
    try:
        with paddle.no_grad():
            for batch in part.batches(batch_size):
                logits = model(paddle.to_tensor(batch.images))
                probabilities.append(F.softmax(logits.astype("float32"), axis=-1).numpy())
                labels.append(batch.labels)
    finally:
        if training:
            model.train()
    return np.concatenate(probabilities), np.concatenate(labels)


def evaluate(model: nn.Layer, part: Part, batch_size: int = 256) -> dict[str, float]:
    """Return loss (cross entropy, nats), accuracy and macro_f1 of `model` on `part`."""
    return scores(*predict_probabilities(model, part, batch_size))
