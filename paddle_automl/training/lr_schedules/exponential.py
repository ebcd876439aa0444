"""The same factor in every step."""

from __future__ import annotations

from pydantic import Field

from paddle_automl.training.lr_schedules.base import LR_SCHEDULES, LrSchedule, LrScheduleConfig


@LR_SCHEDULES.register("exponential")
class Exponential(LrSchedule):
    """final^t with t the fraction done: each step multiplies the rate by the same factor, final^(1 / steps).

    It is given by its end instead of a factor per step, so it does not depend on the number of steps (unlike the
    exponential decay of Szegedy et al. 2016, arXiv:1512.00567, section 8).
    """

    class Config(LrScheduleConfig):
        """Options of the exponential."""

        final: float = Field(0.01, gt=0, lt=1)
        """Factor that is approached at the end."""

    config: Config

    def after_warmup(self, progress: float) -> float:  # noqa: D102
        return self.config.final**progress
