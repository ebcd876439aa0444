"""Several half cosines in sequence."""

from __future__ import annotations

import math

from pydantic import Field

from paddle_automl.training.lr_schedules.base import LR_SCHEDULES, LrSchedule, LrScheduleConfig


@LR_SCHEDULES.register("cosine_restarts")
class CosineRestarts(LrSchedule):
    """Half cosines from 1 down to `final`, each starting again at the full rate (Loshchilov and Hutter 2017, eq.
    5).

    The cycles' lengths are in proportion 1 : `growth` : `growth`^2 ...; together they fill the training after
    warm-up.
    """

    class Config(LrScheduleConfig):
        """Options of the cosines."""

        cycles: int = Field(3, ge=1)
        """Number of half cosines."""
        growth: float = Field(2.0, ge=1)
        """Length of each one as a multiple of the one before (T_mult in the paper)."""
        final: float = Field(0.0, ge=0, le=1)
        """Factor that is approached at the end of each."""

    config: Config

    def after_warmup(self, progress: float) -> float:  # noqa: D102
        config = self.config
        lengths = [config.growth**cycle for cycle in range(config.cycles)]
        place, whole = progress * sum(lengths), 0.0
        for length in lengths[:-1]:
            if place < whole + length:
                break
            whole += length
        else:
            length = lengths[-1]
        return config.final + (1.0 - config.final) * (1.0 + math.cos(math.pi * (place - whole) / length)) / 2.0
