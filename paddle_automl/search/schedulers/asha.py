"""Asynchronous successive halving (Li et al. 2018, arXiv 1810.05934), in its stopping form."""

from __future__ import annotations

import math
from collections.abc import Sequence

from pydantic import Field

from paddle_automl.core.schema import PluginConfig
from paddle_automl.search.schedulers.base import (
    SCHEDULERS,
    Curves,
    Decision,
    Point,
    Scheduler,
    best_until,
    ranks,
)


@SCHEDULERS.register("asha")
class Asha(Scheduler):
    """After 1, 3, 9, ... epochs (rungs) only the best third of the trials that got there continues.

    A trial is compared, when it reaches a rung, with the trials that reached the rung before it; the first ones at
    a rung continue if they are its best. (The paper pauses trials and promotes them later; here a stopped trial
    stays stopped, so that no checkpoints have to be kept for it.) With several objectives this is MO-ASHA
    (Schmucker et al. 2021, arXiv 2106.12639): the best third in the order of `base.ranks`.
    """

    class Config(PluginConfig):
        """Options of ASHA."""

        min_epochs: int = Field(default=1, ge=1)
        """Epochs of the first rung; no trial is stopped earlier."""
        min_share: float = Field(default=0.0, ge=0, le=1)
        """Fraction of a trial's epochs before which none is stopped. Strong augmentation, a high learning rate and
        a large network pay only later."""
        reduction: int = Field(default=3, ge=2)
        """Each rung has this many times the epochs of the previous one, and 1 / reduction of its trials
        continue."""

    def decide(self, number: int, epoch: int, cost: Point, curves: Curves) -> Decision:
        """Return STOP at a rung where the trial is not among the best ``max(1, n // reduction)`` of n."""
        return halve(self._rungs(epoch), self.config.reduction, number, epoch, cost, curves)

    def _rungs(self, epoch: int) -> list[int]:
        """Return the rungs up to `epoch`."""
        level = max(self.config.min_epochs, math.ceil(self.config.min_share * (self.epochs or 0)))
        rungs = []
        while level <= epoch:
            rungs.append(level)
            level *= self.config.reduction
        return rungs


def halve(rungs: Sequence[int], reduction: int, number: int, epoch: int, cost: Point, curves: Curves) -> Decision:
    """Return STOP if the trial reached a rung and is not among the best ``max(1, n // reduction)`` of n there."""
    own = {**curves.get(number, {}), epoch: cost}
    before = max((at for at in own if at < epoch), default=0)
    # A trial may report every few epochs only.
    rung = max((level for level in rungs if before < level <= epoch), default=None)
    if rung is None:
        return Decision.CONTINUE
    others = [
        best_until(curve, min(at for at in curve if at >= rung))
        for other, curve in curves.items()
        if other != number and curve and max(curve) >= rung
    ]
    kept = max(1, (len(others) + 1) // reduction)
    mine, *theirs = ranks([best_until(own, epoch), *others])
    better = sum(1 for value in theirs if value < mine)
    return Decision.CONTINUE if better < kept else Decision.STOP
