"""The interface of learning-rate schedules."""

from __future__ import annotations

from abc import ABC, abstractmethod

from pydantic import Field

from paddle_automl.core.registry import Registry
from paddle_automl.core.schema import PluginConfig


class LrScheduleConfig(PluginConfig):
    """Options that every schedule has."""

    warmup_epochs: float = Field(0.0, ge=0)
    """Epochs in which the rate grows linearly, step by step, to the one with which the schedule begins: the full
    one, or for triangle and one_cycle `start` of it."""


class LrSchedule(ABC):
    """Factor of the learning rate for each step, counted from 0.

    In an epoch with fewer steps than others the steps lie further apart, so `step` may be fractional.
    """

    class Config(LrScheduleConfig):
        """Options of the schedule."""

    def __init__(self, config: LrScheduleConfig, *, epochs: int, steps_per_epoch: int) -> None:
        self.config = config
        self.steps = epochs * steps_per_epoch
        self.warmup_steps = min(round(config.warmup_epochs * steps_per_epoch), self.steps)

    def factor(self, step: float) -> float:
        """Return the factor of step `step`: (step + 1) / warm-up steps of `first`, then `after_warmup`."""
        if step < self.warmup_steps:
            return self.first * min((step + 1) / self.warmup_steps, 1.0)
        progress = (step - self.warmup_steps) / max(self.steps - self.warmup_steps, 1)
        return self.after_warmup(min(progress, 1.0))

    def observe(self, merit: float) -> None:
        """Receive the result of each epoch; schedules that depend only on the step ignore it.

        `merit` is the validation metric that decides which epoch is kept, or the training loss if there is no
        validation; times -1 if smaller values are better.
        """
        del merit

    @property
    def first(self) -> float:
        """The factor to which the rate grows in warm-up."""
        return self.after_warmup(0.0)

    @abstractmethod
    def after_warmup(self, progress: float) -> float:
        """Return the factor at `progress`, the completed fraction of the steps after warm-up, from 0 to below 1.

        It is 1 only for steps beyond the last one, which are made to time them.
        """


LR_SCHEDULES: Registry[LrSchedule] = Registry(
    "learning-rate schedule", "paddle_automl.training.lr_schedules", "training.lr_schedule"
)
