"""Patience: stop a trial that no longer improves."""

from __future__ import annotations

from pydantic import Field

from paddle_automl.core.schema import PluginConfig
from paddle_automl.search.schedulers.base import SCHEDULERS, Curves, Decision, Point, Scheduler, reported_costs


@SCHEDULERS.register("patience")
class Patience(Scheduler):
    """Stops a trial after some epochs without improvement, whatever the others reached.

    Early stopping as in Prechelt 1998, "Early Stopping - But When?". Unlike the other schedulers it does not
    compare a trial with others; it only saves epochs that no longer improve the trial. With several objectives an
    epoch is an improvement if it beats each earlier one in some objective.
    """

    cuts_short = False

    class Config(PluginConfig):
        """Options of patience."""

        epochs: int = Field(default=10, ge=1)
        """Epochs in a row without improvement after which a trial ends."""
        min_change: float = Field(default=0.0, ge=0)
        """Smallest change of an objective that counts as an improvement."""

    def decide(self, number: int, epoch: int, cost: Point, curves: Curves) -> Decision:
        """Return STOP if the last improvement was `epochs` epochs or more ago."""
        own = {**curves.get(number, {}), epoch: cost}
        best: list[tuple[float, ...]] = []
        since = epoch
        for at in sorted(own):
            costs = reported_costs(own[at])
            if at <= epoch and all(self._better(costs, known) for known in best):
                best.append(costs)
                since = at
        return Decision.STOP if epoch - since >= self.config.epochs else Decision.CONTINUE

    def _better(self, costs: tuple[float, ...], known: tuple[float, ...]) -> bool:
        return any(new < old - self.config.min_change for new, old in zip(costs, known, strict=True))
