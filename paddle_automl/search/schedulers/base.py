"""What a scheduler is: it decides after each epoch whether a trial goes on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from enum import Enum
from typing import Any, ClassVar

from paddle_automl.core.registry import Registry
from paddle_automl.core.schema import PluginConfig

SCHEDULERS: Registry[Scheduler] = Registry("scheduler", "paddle_automl.search.schedulers", "search.scheduler")

Curves = Mapping[int, Mapping[int, float]]
"""Costs of the first objective (minimised): trial number -> epoch (from 1) -> cost."""


class Decision(Enum):
    """What happens to the trial that reported."""

    CONTINUE = "continue"
    STOP = "stop"


class Scheduler(ABC):
    """Stops trials early. Its decision is a function of its arguments; it keeps no state.

    It is never asked after a trial's last epoch, when nothing can be saved.
    """

    name: ClassVar[str]

    class Config(PluginConfig):
        """No options."""

    def __init__(self, config: Any) -> None:
        self.config = config

    @abstractmethod
    def decide(self, number: int, epoch: int, cost: float, curves: Curves) -> Decision:
        """Return whether trial `number`, which reached `cost` after `epoch`, goes on.

        `curves` hold all trials that did not fail, finished and running, trial `number` with this report too.
        """


def best_until(curve: Mapping[int, float], epoch: int) -> float:
    """Return the lowest cost up to `epoch`: training keeps the weights of its best epoch."""
    return min(cost for at, cost in curve.items() if at <= epoch)
