"""Schedulers on tabulated learning curves: costs and savings of early stopping.

TaskSet (Metz et al. 2020, arXiv 2002.11887): 1,000 settings of Adam on each of 12 recurrent text models, the
validation loss at 51 points of training. Settings are drawn at random, so only the schedulers differ.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from paddle_automl.benchmarks.search.replay import plugin_config
from paddle_automl.core.errors import DataError
from paddle_automl.core.seeds import generator
from paddle_automl.search.learning.columns import Array, Indices
from paddle_automl.search.schedulers.base import SCHEDULERS, Decision, Scheduler

CURVES_FILE = "hpo/taskset_imdb_rnn_curves.npz"
SHARES = (0.25, 0.5, 1.0)
"""Fractions of the epochs of a full search after which the best trial is evaluated."""


@dataclass(frozen=True, eq=False)
class CurveTask:
    """Learning curves [N, E] of N configurations, NaN from the epoch of a divergence on."""

    name: str
    curves: Array

    @property
    def epochs(self) -> int:
        """Epochs of a whole trial."""
        return int(self.curves.shape[1])

    def regret(self, cost: float) -> float:
        """Return the normalized regret: 0 at the best loss of all curves, 1 at the median of their best ones."""
        finite = np.where(np.isfinite(self.curves), self.curves, np.inf)
        lowest = finite.min(axis=1)
        best, typical = float(lowest.min()), float(np.median(lowest))
        return (cost - best) / (typical - best)


def curve_tasks(data: Path) -> list[CurveTask]:
    """Return the tasks of TaskSet; raises DataError if the file cannot be read."""
    path = data / CURVES_FILE
    try:
        with np.load(path, allow_pickle=False) as arrays:
            names = [str(name) for name in arrays["tasks"]]
            return [CurveTask(name, curves) for name, curves in zip(names, arrays["valid_loss"], strict=True)]
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"{path}: cannot read the learning curves: {error}") from None


def scheduler_of(text: str) -> Scheduler:
    """Return the scheduler of ``name`` or ``name:option=value+option=value``."""
    cls, config = plugin_config(SCHEDULERS, text, "--schedulers")
    return cls(config)


@dataclass
class _Search:
    """State of a search: running trials, reported curves, reached costs."""

    running: dict[int, int] = field(default_factory=dict)
    curves: dict[int, dict[int, float]] = field(default_factory=dict)
    best: float = float("inf")
    started: int = 0


def replay(
    task: CurveTask, scheduler: Scheduler, *, trials: int, seed: int, workers: int = 4
) -> tuple[dict[float, float], int]:
    """Return the best trial's regret after fractions of a full search's epochs, and the number of started trials.

    `workers` trials run in parallel, one epoch each in turn; when one ends, the next configuration of a random
    order starts, until ``trials * epochs`` epochs are used or no configuration is left. A trial's loss is that of
    its best epoch, stopped or not. A trial that diverges ends.
    """
    order = generator(seed, "benchmark", task.name).permutation(len(task.curves))
    budget = trials * task.epochs
    marks = {round(share * budget): share for share in SHARES}
    search, found = _Search(), {}
    for used, _ in enumerate(_epochs(task, scheduler, search, order, workers), 1):
        if used in marks:
            found[marks[used]] = task.regret(search.best)
        if used >= budget:
            break
    # Configurations ran out before the epochs did.
    return {share: found.get(share, task.regret(search.best)) for share in SHARES}, search.started


def _epochs(task: CurveTask, scheduler: Scheduler, search: _Search, order: Indices, workers: int) -> Iterator[None]:
    """Train one epoch at a time, and yield after each."""
    while True:
        while len(search.running) < workers and search.started < len(order):
            search.running[search.started] = 0
            search.started += 1
        if not search.running:
            return
        for number in list(search.running):
            epoch = search.running[number] = search.running[number] + 1
            cost = float(task.curves[int(order[number]), epoch - 1])
            if not np.isfinite(cost):
                del search.running[number]
                # As in a real search a failed trial's curve is not compared with others.
                search.curves.pop(number, None)
            else:
                curve = search.curves.setdefault(number, {})
                curve[epoch] = cost
                search.best = min(search.best, cost)
                if epoch == task.epochs or _stopped(scheduler, number, epoch, cost, search):
                    del search.running[number]
            yield


def _stopped(scheduler: Scheduler, number: int, epoch: int, cost: float, search: _Search) -> bool:
    return scheduler.decide(number, epoch, cost, search.curves) is Decision.STOP
