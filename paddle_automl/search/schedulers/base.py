"""The interface of schedulers, which decide after each epoch whether a trial continues."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from enum import Enum
from statistics import fmean
from typing import Any, ClassVar, TypeAlias

from paddle_automl.core.registry import Registry
from paddle_automl.core.schema import PluginConfig
from paddle_automl.search.dominance import order

SCHEDULERS: Registry[Scheduler] = Registry("scheduler", "paddle_automl.search.schedulers", "search.scheduler")

Point: TypeAlias = float | tuple[float, ...]
"""A report. One objective: its cost (minimized). Several: the excess over their limits, the cost of the one that
makes the learning curve, and the others' costs, NaN if one was not reported."""
Curves: TypeAlias = Mapping[int, Mapping[int, Point]]
"""Trial number -> epoch (from 1) -> report."""


class Decision(Enum):
    """Whether the reporting trial continues."""

    CONTINUE = "continue"
    STOP = "stop"


class Scheduler(ABC):
    """Stops trials early. Its decision is a function of its arguments; it keeps no state.

    It is not asked after a trial's last epoch, when nothing can be saved, nor for a repeat, nor for the
    configuration's own values if it `cuts_short`. `epochs` are those of a whole trial, if known. With
    several objectives trials are compared by `ranks`, so every scheduler works with them.
    """

    name: ClassVar[str]
    cuts_short: ClassVar[bool] = True
    """Whether a trial that it stops might have become better: the final choice is then among the others. False if
    it only saves epochs that no longer improve a trial."""

    class Config(PluginConfig):
        """No options."""

    def __init__(self, config: Any, *, epochs: int | None = None) -> None:
        self.config = config
        self.epochs = epochs

    @abstractmethod
    def decide(self, number: int, epoch: int, cost: Point, curves: Curves) -> Decision:
        """Return whether trial `number`, which reached `cost` after `epoch`, continues.

        `curves` hold the finished and running trials that did not fail and have at least as many epochs planned as
        trial `number`: at the same epoch their learning rates have not fallen further. For trial `number` they hold
        also this report.
        """


def ranks(points: Sequence[Point]) -> list[float]:
    """Return numbers that are lower for better points.

    One objective: the costs themselves. Several: places in the order of Schmucker et al. 2021, "Multi-objective
    Asynchronous Successive Halving" (arXiv 2106.12639): trials beyond a limit come after all others, the smallest
    excess first; then by non-dominated sorting; inside a front by an epsilon-net, each next one the farthest from
    those before. The first is the one with the best learning curve, because the exported model is chosen by that.
    """
    single = [point for point in points if not isinstance(point, tuple)]
    if len(single) == len(points):
        return single
    places = order([point for point in points if isinstance(point, tuple)])
    return [float(place) for place in places]


def best_until(curve: Mapping[int, Point], epoch: int) -> Point:
    """Return the best report up to `epoch`: training keeps the weights of its best epoch."""
    return min((point for at, point in curve.items() if at <= epoch), key=curve_cost)


def mean_until(curve: Mapping[int, Point], epoch: int) -> Point:
    """Return the mean of the reports up to `epoch`."""
    points = [point for at, point in curve.items() if at <= epoch]
    vectors = [point for point in points if isinstance(point, tuple)]
    if vectors:
        return tuple(fmean(column) for column in zip(*vectors, strict=True))
    return fmean(point for point in points if not isinstance(point, tuple))


def curve_cost(point: Point) -> float:
    """Return the cost of the objective that makes the learning curve."""
    return point[1] if isinstance(point, tuple) else point


def reported_costs(point: Point) -> tuple[float, ...]:
    """Return the reported costs of all objectives."""
    return point[1:] if isinstance(point, tuple) else (point,)
