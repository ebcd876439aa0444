"""The scheduler without early stopping."""

from __future__ import annotations

from paddle_automl.search.schedulers.base import SCHEDULERS, Curves, Decision, Point, Scheduler


@SCHEDULERS.register("none")
class Full(Scheduler):
    """No early stopping: every trial runs all its epochs."""

    def decide(self, number: int, epoch: int, cost: Point, curves: Curves) -> Decision:
        """Return CONTINUE."""
        return Decision.CONTINUE
