"""The median stopping rule (Golovin et al. 2017, "Google Vizier", section 3.2.1)."""

from __future__ import annotations

from statistics import median

from pydantic import Field

from paddle_automl.core.schema import PluginConfig
from paddle_automl.search.schedulers.base import (
    SCHEDULERS,
    Curves,
    Decision,
    Point,
    Scheduler,
    best_until,
    mean_until,
    ranks,
)


@SCHEDULERS.register("median")
class Median(Scheduler):
    """Stops a trial whose best value so far is worse than the median of the others' running averages.

    With several objectives its best report and the others' averages are ordered as in `base.ranks`.
    """

    class Config(PluginConfig):
        """Options of the median rule."""

        warmup_epochs: int = Field(default=1, ge=0)
        """Epochs in which no trial is stopped."""
        startup_trials: int = Field(default=5, ge=1)
        """Other trials that must have reached the same epoch before one is stopped."""

    def decide(self, number: int, epoch: int, cost: Point, curves: Curves) -> Decision:
        """Return STOP if the best cost up to `epoch` is above the median of the averages up to `epoch`."""
        if epoch <= self.config.warmup_epochs:
            return Decision.CONTINUE
        averages = [
            mean_until(curve, epoch)
            for other, curve in curves.items()
            if other != number and curve and max(curve) >= epoch and min(curve) <= epoch
        ]
        if len(averages) < self.config.startup_trials:
            return Decision.CONTINUE
        best = best_until({**curves.get(number, {}), epoch: cost}, epoch)
        mine, *theirs = ranks([best, *averages])
        return Decision.STOP if mine > median(theirs) else Decision.CONTINUE
