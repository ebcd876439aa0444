"""Hyperband (Li et al. 2016, arXiv 1603.06560), over asynchronous successive halving."""

from __future__ import annotations

import math
from functools import cached_property

from pydantic import Field

from paddle_automl.core.schema import PluginConfig
from paddle_automl.search.schedulers.asha import halve
from paddle_automl.search.schedulers.base import SCHEDULERS, Curves, Decision, Point, Scheduler

UNKNOWN_EPOCHS = 27
"""R if the epochs of a trial are not known."""


@SCHEDULERS.register("hyperband")
class Hyperband(Scheduler):
    """Assigns trials to brackets of successive halving, which begin to stop trials early or late.

    No first rung suits every problem: if early epochs mislead, the brackets that stop late find the good trials; if
    they do not, those that stop early save most time. Algorithm 1 with eta = `reduction` and R = `max_epochs`:
    bracket s of s_max = floor(log_eta(R / r)) has its first rung at R eta^-s epochs and, in every round,
    ceil((s_max + 1) / (s + 1) eta^s) trials. Deliberate differences: brackets run in parallel, the trial's number
    decides its bracket, and each halves asynchronously (Li et al. 2018, arXiv 1810.05934, section 3.2). With
    several objectives the brackets halve as `asha` does.
    """

    class Config(PluginConfig):
        """Options of Hyperband."""

        min_epochs: int = Field(default=1, ge=1)
        """Epochs of the first rung of the bracket that stops earliest."""
        max_epochs: int | None = Field(default=None, ge=1)
        """Epochs of a whole trial. None: training.epochs, or its largest value if the space varies it."""
        reduction: int = Field(default=3, ge=2)
        """Each rung has this many times the epochs of the previous one, and 1 / reduction of its trials
        continue."""

    def decide(self, number: int, epoch: int, cost: Point, curves: Curves) -> Decision:
        """Return STOP at a rung of the trial's bracket if the trial is not among the best there."""
        bracket = self.bracket(number)
        own = {other: curve for other, curve in curves.items() if self.bracket(other) == bracket}
        return halve(self.rungs(bracket), self.config.reduction, number, epoch, cost, own)

    def bracket(self, number: int) -> int:
        """Return the bracket of a trial; the highest stops earliest and has most trials, 0 runs all to the end."""
        place = number % sum(self._sizes)
        for bracket in range(self._highest, -1, -1):
            place -= self._sizes[bracket]
            if place < 0:
                break
        return bracket

    def rungs(self, bracket: int) -> list[int]:
        """Return the epochs at which trials of a bracket are compared: R eta^-k, rounded down, before the end R."""
        return [self._whole // self.config.reduction**k for k in range(bracket, 0, -1)]

    @property
    def _whole(self) -> int:
        return self.config.max_epochs or self.epochs or UNKNOWN_EPOCHS

    @cached_property
    def _highest(self) -> int:
        config, highest = self.config, 0
        while config.min_epochs * config.reduction ** (highest + 1) <= self._whole:
            highest += 1
        return highest

    @cached_property
    def _sizes(self) -> list[int]:
        highest, eta = self._highest, self.config.reduction
        return [math.ceil((highest + 1) / (s + 1) * eta**s) for s in range(highest + 1)]
