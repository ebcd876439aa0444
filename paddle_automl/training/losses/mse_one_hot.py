"""Mean squared error of classes."""

from __future__ import annotations

from typing import ClassVar

from paddle import Tensor
from pydantic import Field

from paddle_automl.core.schema import PluginConfig
from paddle_automl.training.losses.base import LOSSES, TINY, Loss


@LOSSES.register("mse_one_hot")
class MseOneHot(Loss):
    """Mean over items and classes of (f_k - height t_k)^2, that of the right class times `weight`.

    Hui and Belkin, Evaluation of Neural Architectures Trained with Square Loss vs Cross-Entropy in Classification
    Tasks (2021), arXiv:2006.07322, section 2: raw outputs f instead of probabilities are compared with the targets.
    They are between 0 and `height`, so the probabilities of the bundle, a softmax of them, are less sure than with
    cross entropy: with ten classes and height 1 at most 0.23.
    """

    class Config(PluginConfig):
        """Options of the mean squared error of classes; the paper has other values than 1 above 42 classes."""

        height: float = Field(1.0, gt=0)
        """M: raw output of the right class that costs nothing; the paper has 30 for ImageNet's 1,000 classes."""
        weight: float = Field(1.0, gt=0)
        """k: weight of the right class; the paper has 15 for ImageNet."""

    config: Config
    tasks: ClassVar[frozenset[str]] = frozenset({"single_label"})
    takes_class_weights = True

    def forward(self, outputs: Tensor, features: Tensor, targets: Tensor) -> Tensor:  # noqa: D102
        config = self.config
        weights = 1.0 + (config.weight - 1.0) * targets
        costs = (weights * (outputs - config.height * targets).square()).mean(axis=1)
        if self.class_weights is None:
            return costs.mean()
        of_items = (targets * self.class_weights).sum(axis=1)
        return (of_items * costs).sum() / of_items.sum().clip(min=TINY)
