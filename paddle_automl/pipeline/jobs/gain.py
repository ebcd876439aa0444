"""What one network gains over another on the same validation items, and how sure that is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from paddle_automl.core.schema import Section
from paddle_automl.core.seeds import generator
from paddle_automl.pipeline.config import RunConfig
from paddle_automl.pipeline.jobs.base import enter
from paddle_automl.pipeline.jobs.networks import trained_network, trained_with_data
from paddle_automl.pipeline.runs.folder import RunFolder
from paddle_automl.search.executors.base import Worker
from paddle_automl.tasks.base import Task
from paddle_automl.tasks.metrics.base import Predictions
from paddle_automl.tasks.metrics.spelling import measure
from paddle_automl.training.evaluation import predict

RESAMPLES = 400
"""Samples of the validation items, drawn with replacement."""


@dataclass(frozen=True)
class GainRequest:
    """Compare the network in the folder `new` with that in `old` on the validation split of the new one."""

    config: RunConfig
    new: Path
    old_config: RunConfig
    old: Path


class GainResult(Section):
    """The metric that decides which epoch is best, of both networks."""

    metric: str
    """Its key."""
    before: float
    """Its value for the old network."""
    after: float
    """Its value for the new network."""
    gain: float
    """How much better the new one is; below 0 if it is worse."""
    standard_error: float
    """Standard error of the gain."""
    items: int
    """Validation items."""

    def convinces(self, standard_errors: float) -> bool:
        """Return whether it is a gain, and one of at least so many standard errors."""
        return self.gain > 0 and self.gain >= standard_errors * self.standard_error


def run(request: GainRequest, worker: Worker) -> GainResult:
    """Evaluate both networks on the validation split."""
    enter(worker)
    new, data = trained_with_data(request.config, RunFolder(request.new), worker)
    old = trained_network(request.old_config, RunFolder(request.old))
    config, split = request.config, data.validation
    outputs = [predict(found.network, split.with_input(found.input)) for found in (old, new)]
    return gain_of(config, outputs, split.codes, data.task)


def gain_of(config: RunConfig, outputs: list[np.ndarray], codes: np.ndarray, task: Task) -> GainResult:
    """Return what the second of two outputs [N, K] gains over the first one for items with these codes."""
    metric = config.epoch_metric()
    sign = 1.0 if config.goal_of(metric) == "maximize" else -1.0
    before, after = (_value(metric, found, codes, task) for found in outputs)
    gains = paired_gains(metric, outputs, codes, task, generator(config.seed, "gain"))
    return GainResult(
        metric=metric,
        before=before,
        after=after,
        gain=sign * (after - before),
        standard_error=float(np.std(gains, ddof=1)),
        items=len(codes),
    )


def paired_gains(
    metric: str, outputs: list[np.ndarray], codes: np.ndarray, task: Task, rng: np.random.Generator
) -> np.ndarray:
    """Return the differences of a metric, second outputs minus first, for samples of the items, ``[RESAMPLES]``.

    The bootstrap of paired values (Efron and Tibshirani 1993, chapter 6): both networks are measured on the same
    sample, so that what is hard for both does not count as noise. `outputs` are two arrays [N, K].
    """
    found = []
    for _ in range(RESAMPLES):
        rows = rng.integers(0, len(codes), len(codes))
        first, second = (_value(metric, values[rows], codes[rows], task) for values in outputs)
        found.append(second - first)
    return np.asarray([value for value in found if np.isfinite(value)] or [0.0, 0.0])


def _value(metric: str, outputs: np.ndarray, codes: np.ndarray, task: Task) -> float:
    return float(measure([metric], Predictions(outputs, codes, task))[metric])
