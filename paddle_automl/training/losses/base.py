"""What a loss is."""

from __future__ import annotations

from abc import abstractmethod

import paddle
from paddle import Tensor, nn

from paddle_automl.core.registry import Registry
from paddle_automl.core.schema import PluginConfig


class Loss(nn.Layer):
    """Maps a batch's logits, features and soft targets to one number, the mean over the batch.

    `class_weights` [K] weigh each class's part of the loss. Shapes: logits [N, K], features [N, F], targets
    [N, K] with rows that sum to 1.
    """

    class Config(PluginConfig):
        """Options of the loss."""

    def __init__(
        self, config: PluginConfig, *, num_classes: int, feature_dim: int, class_weights: Tensor | None
    ) -> None:
        super().__init__()
        self.config = config
        self.num_classes = num_classes
        self.feature_dim = feature_dim
        self.class_weights = class_weights

    @abstractmethod
    def forward(self, logits: Tensor, features: Tensor, targets: Tensor) -> Tensor:
        """Return the loss, shape []."""

    def after_step(self) -> None:
        """Update what the loss itself learns; called once after each step of the optimizer."""


LOSSES: Registry[Loss] = Registry("loss", "paddle_automl.training.losses", "training.loss")


def smoothed(targets: Tensor, smoothing: float) -> Tensor:
    """Return (1 - smoothing) targets + smoothing / K (Szegedy et al. 2016, section 7)."""
    return targets if smoothing == 0 else targets * (1.0 - smoothing) + smoothing / targets.shape[1]


def mean_over_classes(terms: Tensor, targets: Tensor, class_weights: Tensor | None) -> Tensor:
    """Return the batch's mean of sum_k targets_k terms_k, both [N, K].

    With weights w it is sum_nk w_k t_nk terms_nk / sum_nk w_k t_nk, as `paddle.nn.CrossEntropyLoss` has it for
    hard labels.
    """
    if class_weights is None:
        return (targets * terms).sum(axis=-1).mean()
    weighted = targets * class_weights
    return (weighted * terms).sum() / weighted.sum()


def log_probabilities(logits: Tensor) -> Tensor:
    """Return the logarithm of the softmax of logits [N, K]."""
    return paddle.nn.functional.log_softmax(logits, axis=-1)
