"""Center loss added to cross entropy."""

from __future__ import annotations

from typing import Any, ClassVar

import paddle
from paddle import Tensor
from pydantic import Field

from paddle_automl.core.schema import PluginConfig
from paddle_automl.training.losses.base import LOSSES, TINY, Loss
from paddle_automl.training.losses.cross_entropy import CrossEntropy


@LOSSES.register("center_loss")
class CenterLoss(Loss):
    """Cross entropy plus a pull of each feature vector towards the centre of its class.

    Wen et al., A Discriminative Feature Learning Approach for Deep Face Recognition (2016): L = L_S + lambda L_C
    (eq. 5) with L_C = 1/2 sum_i ||x_i - c_{y_i}||^2 (eq. 2), both divided by the batch size here. The centres,
    zero at first, follow eq. 4 after each step:

        c_j <- c_j - alpha sum_i [y_i = j] (c_j - x_i) / (1 + sum_i [y_i = j])

    With soft targets t (mixup), x_i is pulled to sum_k t_ik c_k, and t_ij stands for [y_i = j]. Class weights w
    make L_C the mean weighted by sum_k t_ik w_k; centres are those of all items.
    """

    class Config(PluginConfig):
        """Options of the center loss."""

        weight: float = Field(0.003, gt=0)
        """lambda: weight of the center loss, which is added to the cross entropy."""
        center_rate: float = Field(0.5, gt=0, le=1)
        """alpha: learning rate of the centres."""
        label_smoothing: float = Field(0.0, ge=0, lt=1)
        """Fraction of each target of the cross entropy that is spread evenly over all classes."""

    config: Config
    tasks: ClassVar[frozenset[str]] = frozenset({"single_label"})
    takes_class_weights = True

    def __init__(self, config: Config, **options: Any) -> None:
        super().__init__(config, **options)
        self.cross_entropy = CrossEntropy(
            CrossEntropy.Config(name="cross_entropy", label_smoothing=config.label_smoothing), **options
        )
        self.register_buffer("centers", paddle.zeros([self.task.outputs, self.feature_dim]))
        self._seen: tuple[Tensor, Tensor] | None = None

    def forward(self, outputs: Tensor, features: Tensor, targets: Tensor) -> Tensor:  # noqa: D102
        features = features.astype("float32")
        if self.training:
            self._seen = (features.detach(), targets.detach())
        halves = (features - paddle.matmul(targets, self.centers)).square().sum(axis=1) / 2
        return self.cross_entropy(outputs, features, targets) + self.config.weight * self._mean(halves, targets)

    def _mean(self, values: Tensor, targets: Tensor) -> Tensor:
        """Return the mean of a batch's values [N], each weighted as its class is."""
        if self.class_weights is None:
            return values.mean()
        weights = (targets * self.class_weights).sum(axis=1)
        return (weights * values).sum() / weights.sum().clip(min=TINY)

    @paddle.no_grad()
    def after_step(self) -> None:
        """Move the centres towards the features of the last batch (eq. 4)."""
        if self._seen is None:
            return
        features, targets = self._seen
        self._seen = None
        counts = targets.sum(axis=0).unsqueeze(1)
        change = counts * self.centers - paddle.matmul(targets, features, transpose_x=True)
        self.centers.subtract_(self.config.center_rate * change / (1.0 + counts))
