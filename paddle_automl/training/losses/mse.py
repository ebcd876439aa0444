"""Mean squared error."""

from __future__ import annotations

from paddle import Tensor

from paddle_automl.core.schema import PluginConfig
from paddle_automl.training.losses.base import LOSSES, Pointwise


@LOSSES.register("mse")
class MeanSquaredError(Pointwise):
    """Mean over items and targets of d^2, with d the difference in standard deviations of the target.

    The minimum is at the targets' mean (Bishop 2006, section 1.5.5).
    """

    class Config(PluginConfig):
        """The mean squared error has no options."""

    def cost(self, difference: Tensor) -> Tensor:  # noqa: D102
        return difference.square()
