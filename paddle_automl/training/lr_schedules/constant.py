"""No change."""

from __future__ import annotations

from paddle_automl.training.lr_schedules.base import LR_SCHEDULES, LrSchedule, LrScheduleConfig


@LR_SCHEDULES.register("constant")
class Constant(LrSchedule):
    """The same rate throughout, after warm-up."""

    class Config(LrScheduleConfig):
        """Options of the constant schedule."""

    def after_warmup(self, progress: float) -> float:  # noqa: D102
        return 1.0
