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

import numpy as np

from paddle_automl.core.errors import ConfigError, TrialError
from paddle_automl.core.loading import validate
from paddle_automl.data.items import CONTENT, UNREADABLE, unpacked
from paddle_automl.models.published import KEY
from paddle_automl.pipeline.config import RunConfig
from paddle_automl.pipeline.jobs.base import call, job_of, shared_of, start_executor
from paddle_automl.pipeline.jobs.check import CheckRequest, CheckResult
from paddle_automl.pipeline.jobs.train import TrainRequest, TrainResult
from paddle_automl.pipeline.jobs.warmup import stable_hashing
from paddle_automl.pipeline.progress.observer import Observer
from paddle_automl.pipeline.runs.folder import RunFolder
from paddle_automl.pipeline.runs.remembered import data_of_run
from paddle_automl.pipeline.runs.sources import TrainedRun
from paddle_automl.pipeline.runs.starting import run_of_weights
from paddle_automl.pipeline.runs.trials import split_seed, standalone
from paddle_automl.pipeline.settling import settled
from paddle_automl.search.executors.base import Executor
from paddle_automl.tasks.metrics.spelling import goal_of

SMALLEST = 100
"""Fewest training items of the curve."""
FACTORS = (1, 3)
"""Numbers of items are these, times powers of ten."""
SAME = 0.01
"""Fraction of the items from which a network that knows them has learned the same data: fewer are chance copies."""


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


def config_from_scratch(run: TrainedRun) -> RunConfig:
    """Return the configuration with which the network of `run` was first trained, for the data of `run`.

    A fine-tuned network and one of a refit were trained further: their own configuration starts from a network that
    has learned all items, on which a training on a part of them would show nothing.
    """
    config, known = run.asked_config, data_of_run(run.folder)
    seen = {run.folder.path.resolve()}
    while known is not None:
        earlier = run_of_weights(config.model)
        if earlier is None or earlier.folder.path.resolve() in seen or not _knows(earlier, known.items.content):
            break
        seen.add(earlier.folder.path.resolve())
        config = earlier.asked_config
    # Later trainings may have added items.
    data = config.data.model_copy(update={"dataset": run.config.data.dataset})
    return config.model_copy(update={"data": data})


def _knows(run: TrainedRun, content: np.ndarray) -> bool:
    """Return whether a run was trained on items with this content, uint64 [N]."""
    known = data_of_run(run.folder)
    readable = content[content != UNREADABLE]
    return known is not None and np.isin(readable, known.items.content).sum() > SAME * len(content)


def _check_start(config: RunConfig, items: Mapping[str, Any]) -> None:
    """Raise ConfigError for a start from a network that has already learned the `items` (a list as JSON)."""
    start = run_of_weights(config.model)
    if start is not None and items and _knows(start, unpacked(items["content"], CONTENT)):
        raise ConfigError(
            f"{KEY}: the network of {start.folder.path} has already learned these items, so training on some of "
            "them shows nothing; start from nothing or from a network of other data"
        )


def learning_curve(
    config: RunConfig, *, sizes: Sequence[int] = (), draws: int = 2, observer: Observer | None = None
) -> LearningCurve:
    """Train `config` on parts of its training split, and on all of it; return what each reached on validation.

    Nothing is kept. `draws` different parts are taken of each size, of all items one with as many seeds. Raises as
    a training does.
    """
    stable_hashing()
    observer = observer or Observer()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        # Before the executor starts: decoded items and features are stored in the output folder.
        config = config.model_copy(update={"output": str(folder)})
        observer.job("checking the data")
        with start_executor(config, 1) as executor, observer:
            return _measured(settled(config, executor), executor, sizes, draws, observer)


def _measured(
    config: RunConfig, executor: Executor, sizes: Sequence[int], draws: int, observer: Observer
) -> LearningCurve:
    """Return the curve of a settled configuration, whose output folder is a temporary one."""
    folder = config.folder
    log = folder / "curve.log"
    facts = call(executor, job_of("check", CheckRequest(config, (), shared_of(config)), log, config), CheckResult)
    _check_start(config, facts.items)
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
    """Return the configuration of one training on some `items`, or on all that the configuration has with None.

    `draw` chooses the items, and the seed of the training. The splits are the same for all.
    """
    part = {} if items is None else {"items": items, "items_seed": draw}
    split = config.data.split.model_copy(update={"seed": split_seed(config)})
    data = config.data.model_copy(update={**part, "split": split})
    changed = config.model_copy(update={"data": data, "seed": config.seed + draw})
    own = validate(RunConfig, standalone(changed, folder))
    RunFolder(folder).write_config(own, clear=True)
    return own


def _shown(display: Any) -> Any:
    def on_report(epoch: int, metrics: Mapping[str, float]) -> bool:
        display(epoch, metrics)
        return True

    return on_report
