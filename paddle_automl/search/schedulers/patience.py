"""Patience: a trial that no longer improves ends."""

from __future__ import annotations

from pydantic import Field

from paddle_automl.core.schema import PluginConfig
from paddle_automl.search.schedulers.base import SCHEDULERS, Curves, Decision, Point, Scheduler, costs_told


@SCHEDULERS.register("patience")
class Patience(Scheduler):
    """Stops a trial after some epochs without improvement, whatever the others reached.

    Early stopping as in Prechelt 1998, "Early Stopping - But When?". Unlike the other schedulers it takes
    nothing from a trial that may still become the best, only epochs that no longer help it. With several
    objectives an epoch is an improvement when it beats each earlier one in some objective.
    """

    class Config(PluginConfig):
        """Options of patience."""

        epochs: int = Field(default=10, ge=1)
        """Epochs in a row without improvement after which a trial ends."""
        min_change: float = Field(default=0.0, ge=0)
        """Smallest change of an objective that counts as an improvement."""

    def decide(self, number: int, epoch: int, cost: Point, curves: Curves) -> Decision:
        """Return STOP when the last improvement lies `epochs` epochs or more back."""
        own = {**curves.get(number, {}), epoch: cost}
        best: list[tuple[float, ...]] = []
        since = epoch
        for at in sorted(own):
            told = costs_told(own[at])
            if at <= epoch and all(self._better(told, known) for known in best):
                best.append(told)
                since = at
        return Decision.STOP if epoch - since >= self.config.epochs else Decision.CONTINUE

    def _better(self, told: tuple[float, ...], known: tuple[float, ...]) -> bool:
        return any(new < old - self.config.min_change for new, old in zip(told, known, strict=True))
