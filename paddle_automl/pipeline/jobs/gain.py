"""What one network gains over another on the same validation items, and how sure that is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from paddle_automl.compression.context import TrainedNetwork
from paddle_automl.core.schema import Section
from paddle_automl.core.seeds import generator
from paddle_automl.data.splits import Split
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
    before, after = (_predictions(found, data.validation) for found in (old, new))
    return gain_between(request.config, before, after)


def _predictions(found: TrainedNetwork, split: Split) -> Predictions:
    """Return a network's outputs by its own task: thresholds, a temperature and widths of intervals are tuned for
    one network, and would make another one look worse than it is."""
    own = split.with_input(found.input).with_task(found.task)
    return Predictions(predict(found.network, own), own.codes, own.task)


def gain_of(config: RunConfig, outputs: list[np.ndarray], codes: np.ndarray, task: Task) -> GainResult:
    """Return what the second of two outputs [N, K] gains over the first one for items with these codes."""
    before, after = (Predictions(found, codes, task) for found in outputs)
    return gain_between(config, before, after)


def gain_between(config: RunConfig, before: Predictions, after: Predictions) -> GainResult:
    """Return what predictions gain over those before, for the same items in the same order."""
    metric = config.epoch_metric()
    sign = 1.0 if config.goal_of(metric) == "maximize" else -1.0
    gains = paired_gains(metric, before, after, generator(config.seed, "gain"))
    first, second = (_value(metric, found) for found in (before, after))
    return GainResult(
        metric=metric,
        before=first,
        after=second,
        gain=sign * (second - first),
        standard_error=float(np.std(gains, ddof=1)),
        items=len(after.codes),
    )


def paired_gains(metric: str, before: Predictions, after: Predictions, rng: np.random.Generator) -> np.ndarray:
    """Return the differences of a metric, after minus before, for samples of the items, ``[RESAMPLES]``.

    The bootstrap of paired values (Efron and Tibshirani 1993, chapter 6): both networks are measured on the same
    sample, so that what is hard for both does not count as noise.
    """
    found = []
    for _ in range(RESAMPLES):
        rows = rng.integers(0, len(after.codes), len(after.codes))
        first, second = (
            _value(metric, replace(found, outputs=found.outputs[rows], codes=found.codes[rows]))
            for found in (before, after)
        )
        found.append(second - first)
    return np.asarray([value for value in found if np.isfinite(value)] or [0.0, 0.0])


def _value(metric: str, found: Predictions) -> float:
    return float(measure([metric], found)[metric])
