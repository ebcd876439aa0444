"""How good a network would be with fewer labels: one training for each number of them."""

from __future__ import annotations

import math
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from paddle_automl.core.errors import ConfigError, TrialError
from paddle_automl.core.loading import validate
from paddle_automl.pipeline.config import RunConfig
from paddle_automl.pipeline.jobs.base import call, job_of, shared_of, start_executor
from paddle_automl.pipeline.jobs.check import CheckRequest, CheckResult
from paddle_automl.pipeline.jobs.train import TrainRequest, TrainResult
from paddle_automl.pipeline.jobs.warmup import stable_hashing
from paddle_automl.pipeline.progress.observer import Observer
from paddle_automl.pipeline.runs.folder import RunFolder
from paddle_automl.pipeline.runs.trials import standalone
from paddle_automl.pipeline.settling import settled
from paddle_automl.tasks.metrics.spelling import goal_of

SMALLEST = 100
"""Fewest training items of the curve."""
FACTORS = (1, 3)
"""Numbers of items are these, times powers of ten."""


@dataclass(frozen=True)
class Point:
    """What trainings on `items` training items reached on validation: the values of a metric, one for each draw."""

    items: int
    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        """The mean of the draws."""
        return fmean(self.values)

    @property
    def deviation(self) -> float | None:
        """The standard deviation of the draws; None for a single one."""
        return stdev(self.values) if len(self.values) > 1 else None


@dataclass(frozen=True)
class LearningCurve:
    """The points, by rising numbers of items, of the task's main metric on the same validation split."""

    metric: str
    points: tuple[Point, ...]
    word: str

    def doubled(self) -> float | None:
        """Return what the metric would be with twice as many items, by a power law of the error.

        For a metric between 0 and 1 of which more is better, such as accuracy: its error is taken to fall by the
        same factor for each doubling as between the last two points. None for other metrics, or where the last
        points do not rise.
        """
        if goal_of(self.metric) != "maximize" or len(self.points) < 2:
            return None
        before, last = self.points[-2:]
        errors = 1 - before.mean, 1 - last.mean
        if not 0 < errors[1] < errors[0] <= 1:
            return None
        slope = math.log(errors[1] / errors[0]) / math.log(last.items / before.items)
        return 1 - errors[1] * 2**slope

    def as_dict(self) -> dict[str, Any]:
        """Return the curve JSON-like."""
        points = [
            {"items": point.items, "mean": point.mean, "deviation": point.deviation, "values": list(point.values)}
            for point in self.points
        ]
        return {"metric": self.metric, "points": points, "with_twice_as_many": self.doubled()}


def sizes_of(items: int, given: Sequence[int] = ()) -> list[int]:
    """Return the numbers of training items of a curve that ends with all `items`; raises ConfigError."""
    wrong = [size for size in given if not 2 <= size <= items]
    if wrong:
        raise ConfigError(f"--sizes: must be between 2 and the {items} training items, got {wrong[0]}")
    if given:
        return sorted(set(given) | {items})
    steps = [factor * 10**power for power in range(2, 9) for factor in FACTORS]
    return [*(size for size in steps if SMALLEST <= size <= 0.7 * items), items]


def learning_curve(
    config: RunConfig, *, sizes: Sequence[int] = (), draws: int = 2, observer: Observer | None = None
) -> LearningCurve:
    """Train `config` on parts of its training split, and on all of it; return what each reached on validation.

    Nothing is kept. `draws` different parts are taken of each size, of all items one with as many seeds. Raises as
    a training does.
    """
    stable_hashing()
    observer = observer or Observer()
    with tempfile.TemporaryDirectory() as scratch, start_executor(config, 1) as executor:
        folder = Path(scratch)
        config = settled(config.model_copy(update={"output": str(folder)}), executor)
        log = folder / "curve.log"
        facts = call(
            executor, job_of("check", CheckRequest(config, (), shared_of(config)), log, config), CheckResult
        )
        metric = config.epoch_metric()
        points = []
        for size in sizes_of(facts.train, sizes):
            values = []
            for draw in range(draws):
                own = _limited(config, size if size < facts.train else None, draw, folder / "run")
                request = TrainRequest(own, folder / "run", shared_of(own))
                label = f"training on {size} {facts.word}s, {draw + 1} of {draws}"
                display = observer.job(label, own.training.epochs)
                result = call(executor, job_of("train", request, log, own), TrainResult, _shown(display))
                if metric not in result.metrics:
                    raise TrialError(f"the training has no {metric} on validation")
                values.append(result.metrics[metric])
                shutil.rmtree(folder / "run", ignore_errors=True)
            points.append(Point(size, tuple(values)))
    return LearningCurve(metric, tuple(points), facts.word)


def _limited(config: RunConfig, items: int | None, draw: int, folder: Path) -> RunConfig:
    """Return the configuration of one training; `draw` chooses the items, or the seed where all are taken."""
    data = config.data.model_copy(update={"items": items, "items_seed": draw})
    changed = config.model_copy(update={"data": data, "seed": config.seed + draw})
    own = validate(RunConfig, standalone(changed, folder))
    RunFolder(folder).write_config(own, clear=True)
    return own


def _shown(display: Any) -> Any:
    def on_report(epoch: int, metrics: Mapping[str, float]) -> bool:
        display(epoch, metrics)
        return True

    return on_report
