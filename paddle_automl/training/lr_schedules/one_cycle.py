"""One cycle."""

from __future__ import annotations

import math

from pydantic import Field

from paddle_automl.training.lr_schedules.base import LR_SCHEDULES, LrSchedule, LrScheduleConfig


@LR_SCHEDULES.register("one_cycle")
class OneCycle(LrSchedule):
    """Up to a high rate and down to almost zero, in two half cosines (Smith and Topin 2019).

    See arXiv:1708.07120. The shape is that of fastai and of ``OneCycleLR`` in PyTorch: from `start` to 1 at `peak`,
    then to `final`, each as a + (b - a) (1 - cos(pi s)) / 2, s the fraction of that phase. Momentum does not
    change.
    """

    class Config(LrScheduleConfig):
        """Options of the cycle."""

        start: float = Field(0.04, gt=0, le=1)
        """Factor at the beginning."""
        peak: float = Field(0.3, gt=0, lt=1)
        """Fraction of the training after warm-up at which the rate is highest."""
        final: float = Field(4e-6, ge=0, le=1)
        """Factor that is approached at the end."""

    config: Config

    def after_warmup(self, progress: float) -> float:  # noqa: D102
        config = self.config
        if progress < config.peak:
            return _between(config.start, 1.0, progress / config.peak)
        return _between(1.0, config.final, (progress - config.peak) / (1.0 - config.peak))


def _between(first: float, last: float, fraction: float) -> float:
    return first + (last - first) * (1.0 - math.cos(math.pi * fraction)) / 2.0
