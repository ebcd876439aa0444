"""A rate that falls in steps."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from paddle_automl.core.schema import Sequence
from paddle_automl.training.lr_schedules.base import LR_SCHEDULES, LrSchedule, LrScheduleConfig


@LR_SCHEDULES.register("step")
class Step(LrSchedule):
    """The rate is multiplied by `gamma` at each milestone, as in He et al. 2016."""

    class Config(LrScheduleConfig):
        """Options of the steps."""

        milestones: Sequence[Annotated[float, Field(gt=0, lt=1)]] = (0.5, 0.75)
        """Fractions of the training after warm-up at which the rate falls."""
        gamma: float = Field(0.1, gt=0, lt=1)
        """Factor at each milestone."""

    config: Config

    def after_warmup(self, progress: float) -> float:  # noqa: D102
        passed = sum(progress >= milestone for milestone in self.config.milestones)
        return self.config.gamma**passed
