"""Copies of networks, and statistics of their weights."""

from __future__ import annotations

import copy

import numpy as np
import paddle
from paddle import nn

from paddle_automl.models.network import Network
from paddle_automl.paddle_compat.slim.sparsity import prunable_weights
from paddle_automl.training.callback import Callback


def copy_of(model: Network) -> Network:
    """Return an independent copy in evaluation mode with all weights trainable."""
    twin: Network = copy.deepcopy(model)
    twin.eval()
    return twin


def sparsity(model: nn.Layer) -> float:
    """Return the fraction of zeros among the weights of all layers that have them (`prunable_weights`)."""
    arrays = [tensor.numpy() for tensor in prunable_weights(model).values()]
    total = sum(array.size for array in arrays)
    return sum(int((array == 0).sum()) for array in arrays) / total if total else 0.0


class Zeros(Callback):
    """Callback that keeps the weights that are zero now at zero during a training."""

    def __init__(self, model: nn.Layer) -> None:
        pairs = [(tensor, tensor.numpy() != 0) for tensor in prunable_weights(model).values()]
        # A single zero among a thousand weights is coincidence, not pruning.
        self._masks = [
            (tensor, paddle.to_tensor(kept.astype(np.float32))) for tensor, kept in pairs if (~kept).mean() > 0.01
        ]

    def __bool__(self) -> bool:
        return bool(self._masks)

    @paddle.no_grad()
    def after_step(self) -> None:
        """Set them to zero again."""
        for tensor, mask in self._masks:
            tensor.multiply_(mask)

    def before_evaluation(self) -> None:
        """Do the same to averaged weights: those of the iterates of `schedule_free` are not zero."""
        self.after_step()
