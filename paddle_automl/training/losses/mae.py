"""Mean absolute error."""

from __future__ import annotations

from paddle import Tensor

from paddle_automl.core.schema import PluginConfig
from paddle_automl.training.losses.base import LOSSES, Pointwise


@LOSSES.register("mae")
class MeanAbsoluteError(Pointwise):
    """Mean over items and targets of |d|, with d the difference in standard deviations of the target.

    The minimum is at the targets' median: outliers count less than with mse.
    """

    class Config(PluginConfig):
        """The mean absolute error has no options."""

    def cost(self, difference: Tensor) -> Tensor:  # noqa: D102
        return difference.abs()
