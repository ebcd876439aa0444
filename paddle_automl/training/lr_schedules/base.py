"""What a learning-rate schedule is."""

from __future__ import annotations

from abc import ABC, abstractmethod

from pydantic import Field

from paddle_automl.core.registry import Registry
from paddle_automl.core.schema import PluginConfig


class LrScheduleConfig(PluginConfig):
    """Options that every schedule has."""

    warmup_epochs: float = Field(0.0, ge=0)
    """Epochs in which the rate grows linearly to its full value, step by step."""


class LrSchedule(ABC):
    """Factor of the learning rate for each step, counted from 0.

    Where an epoch has fewer steps than others, its steps lie further apart: places between the numbers.
    """

    class Config(LrScheduleConfig):
        """Options of the schedule."""

    def __init__(self, config: LrScheduleConfig, *, epochs: int, steps_per_epoch: int) -> None:
        self.config = config
        self.steps = epochs * steps_per_epoch
        self.warmup_steps = min(round(config.warmup_epochs * steps_per_epoch), self.steps)

    def factor(self, step: float) -> float:
        """Return the factor of step `step`: (step + 1) / warm-up steps, then `after_warmup`."""
        if step < self.warmup_steps:
            return min((step + 1) / self.warmup_steps, 1.0)
        return self.after_warmup((step - self.warmup_steps) / max(self.steps - self.warmup_steps, 1))

    def observe(self, merit: float) -> None:
        """Take in the result of an epoch, after each one; schedules that depend on their step alone ignore it.

        `merit` is the metric that decides which epoch is kept, on the validation split, or the training loss where
        nothing is validated; times -1 where smaller ones are better.
        """
        del merit

    @abstractmethod
    def after_warmup(self, progress: float) -> float:
        """Return the factor at `progress`, the fraction of the steps after warm-up that are done, 0 to below 1."""


LR_SCHEDULES: Registry[LrSchedule] = Registry(
    "learning-rate schedule", "paddle_automl.training.lr_schedules", "training.lr_schedule"
)
