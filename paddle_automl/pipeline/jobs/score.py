"""The only test of an exported network, and the only use of the test split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from paddle_automl.data.splits import PreparedData
from paddle_automl.deployment.bundle import Bundle
from paddle_automl.deployment.predictor import Predictor
from paddle_automl.pipeline.config import RunConfig
from paddle_automl.pipeline.jobs.base import Shared, changes, enter, load_data
from paddle_automl.pipeline.jobs.bundle import BundleResult
from paddle_automl.pipeline.jobs.costs import rounded
from paddle_automl.pipeline.jobs.networks import goal_of_run
from paddle_automl.pipeline.runs.remembered import data_of_bundle
from paddle_automl.search.executors.base import Worker
from paddle_automl.tasks.metrics.base import Predictions
from paddle_automl.tasks.metrics.spelling import measure, tested_metrics


@dataclass(frozen=True)
class ScoreRequest:
    """Measure `bundle` on the test split of `config` and add the scores to its metrics, without its note."""

    config: RunConfig
    bundle: Path
    shared: Shared


def run(request: ScoreRequest, worker: Worker) -> BundleResult:
    """Test an existing bundle once; without a test split it does not change."""
    enter(worker)
    bundle = Bundle.open(request.bundle)
    data = load_data(request.config, worker, remembered=data_of_bundle(request.bundle, bundle.info.config))
    metrics = goal_of_run(request.config, data.task, request.shared).metrics
    return BundleResult.of(tested(bundle, data, metrics, worker), changes())


def tested(bundle: Bundle, data: PreparedData, metrics: Sequence[str], worker: Worker) -> Bundle:
    """Return the bundle with its scores on the test split, which was not used to choose the network."""
    recorded = {key: value for key, value in bundle.info.metrics.items() if key != "note"}
    if len(data.test):
        # The format with which validation was measured, even if another one is faster here.
        predictor = Predictor(bundle, threads=worker.threads, runtime=bundle.info.exporter.name)
        split = data.test.with_input(bundle.input).with_task(bundle.task)
        outputs = predictor.predict_split(split)
        keys = tested_metrics(bundle.task, metrics)
        recorded["test"] = rounded(measure(keys, Predictions(outputs, split.codes, bundle.task)))
    return bundle.updated(metrics=recorded)
