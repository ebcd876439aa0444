"""A power of the remaining fraction."""

from __future__ import annotations

from pydantic import Field

from paddle_automl.training.lr_schedules.base import LR_SCHEDULES, LrSchedule, LrScheduleConfig


@LR_SCHEDULES.register("polynomial")
class Polynomial(LrSchedule):
    """final + (1 - final) (1 - t)^power with t the fraction done, as in DeepLab (Chen et al. 2017).

    See arXiv:1606.00915, section 4.1. Power 1 is a straight line.
    """

    class Config(LrScheduleConfig):
        """Options of the polynomial."""

        power: float = Field(1.0, gt=0)
        """Exponent; DeepLab uses 0.9."""
        final: float = Field(0.0, ge=0, le=1)
        """Factor that is approached at the end."""

    config: Config

    def after_warmup(self, progress: float) -> float:  # noqa: D102
        final = self.config.final
        return final + (1.0 - final) * (1.0 - progress) ** self.config.power
