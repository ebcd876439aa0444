"""A rate that falls when the metric no longer improves."""

from __future__ import annotations

import math
from typing import Any

from pydantic import Field

from paddle_automl.training.lr_schedules.base import LR_SCHEDULES, LrSchedule, LrScheduleConfig


@LR_SCHEDULES.register("plateau")
class Plateau(LrSchedule):
    """The rate is multiplied by `gamma` after some epochs without improvement (He et al. 2016, arXiv:1512.03385).

    See section 3.4 there. The rate falls after more than `patience` epochs in a row whose merit (see `observe`) is
    not above the best one so far by more than `min_gain`; the count then starts again. PyTorch's
    ``ReduceLROnPlateau`` does the same. Epochs are compared by the validation split, without one by the training
    loss.
    """

    class Config(LrScheduleConfig):
        """Options of the plateau."""

        gamma: float = Field(0.1, gt=0, lt=1)
        """Factor at each fall."""
        patience: int = Field(3, ge=0)
        """Epochs in a row without improvement that do not lower the rate yet."""
        min_gain: float = Field(0.0, ge=0)
        """Smallest gain that counts as an improvement, in units of the metric."""
        final: float = Field(1e-3, gt=0, le=1)
        """Smallest factor."""

    config: Config

    def __init__(self, config: Config, **course: Any) -> None:
        super().__init__(config, **course)
        self._factor, self._best, self._waited = 1.0, -math.inf, 0

    def observe(self, merit: float) -> None:  # noqa: D102
        if merit > self._best + self.config.min_gain:
            self._best, self._waited = merit, 0
            return
        self._waited += 1
        if self._waited > self.config.patience:
            self._factor, self._waited = max(self._factor * self.config.gamma, self.config.final), 0

    @property
    def first(self) -> float:
        """The full rate, whatever was observed meanwhile."""
        return 1.0

    def after_warmup(self, progress: float) -> float:  # noqa: D102
        return self._factor
