"""A triangle: up, then down, in straight lines."""

from __future__ import annotations

from pydantic import Field

from paddle_automl.training.lr_schedules.base import LR_SCHEDULES, LrSchedule, LrScheduleConfig


@LR_SCHEDULES.register("triangle")
class Triangle(LrSchedule):
    """Up to the full rate and down again in two straight lines (Jordan 2024, arXiv:2404.00498, listing 4).

    With t the fraction done: start + (1 - start) t / peak before the peak, then
    final + (1 - final) (1 - t) / (1 - peak).
    """

    class Config(LrScheduleConfig):
        """Options of the triangle."""

        start: float = Field(0.2, gt=0, le=1)
        """Factor at the beginning."""
        peak: float = Field(0.23, gt=0, lt=1)
        """Fraction of the training after warm-up at which the rate is highest."""
        final: float = Field(0.07, ge=0, le=1)
        """Factor that is approached at the end."""

    config: Config

    def after_warmup(self, progress: float) -> float:  # noqa: D102
        config = self.config
        if progress < config.peak:
            return config.start + (1.0 - config.start) * progress / config.peak
        return config.final + (1.0 - config.final) * (1.0 - progress) / (1.0 - config.peak)
