"""Half a cosine."""

from __future__ import annotations

import math

from pydantic import Field

from paddle_automl.training.lr_schedules.base import LR_SCHEDULES, LrSchedule, LrScheduleConfig


@LR_SCHEDULES.register("cosine")
class Cosine(LrSchedule):
    """Half a cosine from 1 down to `final` (Loshchilov and Hutter 2017, eq. 5 without restarts)."""

    class Config(LrScheduleConfig):
        """Options of the cosine."""

        final: float = Field(0.0, ge=0, le=1)
        """Factor that is approached at the end."""

    config: Config

    def after_warmup(self, progress: float) -> float:  # noqa: D102
        final = self.config.final
        return final + (1.0 - final) * (1.0 + math.cos(math.pi * progress)) / 2.0
