"""From a trained network to a bundle: tested once, exported, checked for parity, timed."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paddle_automl.core.errors import BundleError
from paddle_automl.core.files import write_json
from paddle_automl.core.folders import replacing_folder
from paddle_automl.core.partial import prefix_of
from paddle_automl.deployment.bundle import INFO, Bundle
from paddle_automl.deployment.create import create_bundle
from paddle_automl.deployment.paddlex import PIPELINE, write_pipeline
from paddle_automl.models import kernels
from paddle_automl.pipeline.config import RunConfig
from paddle_automl.pipeline.jobs.base import Shared, changes, enter, load_data, lock_of, with_fold
from paddle_automl.pipeline.jobs.bundle import BundleResult
from paddle_automl.pipeline.jobs.costs import network_costs, rounded
from paddle_automl.pipeline.jobs.learning import judged_on
from paddle_automl.pipeline.jobs.networks import goal_of_run, trained_with_data
from paddle_automl.pipeline.jobs.score import tested
from paddle_automl.pipeline.jobs.smaller_tables import with_smaller_tables
from paddle_automl.pipeline.jobs.withheld import choose_score
from paddle_automl.pipeline.runs.folder import RunFolder
from paddle_automl.pipeline.runs.record import read_record
from paddle_automl.pipeline.runs.remembered import data_of_run
from paddle_automl.search.executors.base import Worker
from paddle_automl.tasks.metrics.spelling import tested_metrics
from paddle_automl.training.evaluation import evaluate

__all__ = ["BundleResult", "ExportRequest", "run"]


@dataclass(frozen=True)
class ExportRequest:
    """Export the network of the folder `run` to the folder `bundle`, where an earlier bundle may exist.

    With `test` the test split is used now. `validation` are scores measured earlier, which are used instead of
    measuring them now; `note` is shown with the metrics. With `keep_verified` a verified bundle is not replaced by
    one that is not; the result is then the earlier bundle, and `BundleResult.kept` says why.
    """

    config: RunConfig
    run: Path
    bundle: Path
    shared: Shared
    test: bool = True
    validation: dict[str, float] | None = None
    note: str = ""
    keep_verified: bool = False
    rejection_s: float = 0.0
    """Most seconds for choosing the rejection score (see `jobs.withheld`); 0: it is not chosen."""
    rejection_epochs: int | None = None
    """Most epochs of the training for it; none: those of `config`."""


def run(request: ExportRequest, worker: Worker) -> BundleResult:
    """Test a trained network, export it as a bundle and compare the two."""
    enter(worker)
    if not (request.keep_verified and _is_verified(request.bundle)):
        return BundleResult.of(_exported(request, request.bundle, worker), changes())
    kept = ""
    prefix = prefix_of(request.bundle.name)
    with tempfile.TemporaryDirectory(prefix=prefix, dir=request.bundle.parent) as scratch:
        made = _exported(request, Path(scratch) / request.bundle.name, worker)
        if made.verified:
            _copy(made.folder, request.bundle)
        else:
            kept = f"the parity check of the new one failed: {BundleResult.of(made).fault()}"
    return BundleResult.of(Bundle.open(request.bundle), changes()).model_copy(update={"kept": kept})


def _exported(request: ExportRequest, target: Path, worker: Worker) -> Bundle:
    config, folder = request.config, RunFolder(request.run)
    if config.compression.in_trials:
        return _shipped(request, target, worker)
    trained, data = trained_with_data(config, folder, worker)
    # An evaluation of the bundle must use the same validation split.
    rebuilt_by = with_fold(config, read_record(folder).fold).as_dict()
    model = trained.network
    goal = goal_of_run(config, data.task, request.shared)
    keys, costs = goal.metrics, rounded(network_costs(model, data, config, request.shared, worker))
    model = with_smaller_tables(model, data, config.deployment, goal)
    # With stored features only the head has to be evaluated.
    judged, splits = judged_on(model, data, config, worker)
    validation = (
        rounded(evaluate(judged, splits.validation, keys)) if request.validation is None else request.validation
    )
    metrics: dict[str, Any] = {
        "validation": validation,
        "costs": costs,
    }
    if request.note:
        metrics["note"] = request.note
    if request.test and len(data.test):
        metrics["test"] = rounded(evaluate(judged, splits.test, tested_metrics(data.task, keys)))
    choice = choose_score(config, data, worker, request.rejection_s, request.rejection_epochs)
    if choice is not None:
        # A later compression uses the same score.
        write_json(folder.rejection, choice.model_dump(mode="json"))
    worker.report(1, {})
    # A frozen backbone is compared as it computed the features: with the fast layers, in a third of the time.
    with kernels.use("float32" if config.model.freeze else None):
        return create_bundle(
            model,
            folder=target,
            data=data,
            deployment=config.deployment,
            config=rebuilt_by,
            metrics=metrics,
            lock=lock_of(worker),
            choice=choice,
        )


def _shipped(request: ExportRequest, target: Path, worker: Worker) -> Bundle:
    """Return a copy of the bundle that the run's own compression has made and checked."""
    made = RunFolder(request.run).bundle
    if target.resolve() != made.resolve():
        _copy(made, target)
    bundle = Bundle.open(target)
    if not request.test:
        return bundle
    run = RunFolder(request.run)
    remembered = data_of_run(run, read_record(run))
    data = load_data(request.config, worker, remembered=remembered)
    keys = goal_of_run(request.config, data.task, request.shared).metrics
    return tested(bundle, data, keys, worker)


def _is_verified(folder: Path) -> bool:
    try:
        return Bundle.open(folder).verified
    except BundleError:
        return False


def _copy(source: Path, target: Path) -> None:
    """Copy a bundle in one step: `target` is always complete, the old or the new one."""
    with replacing_folder(target, marker=INFO) as scratch:
        shutil.copytree(source, scratch, dirs_exist_ok=True)
        if (scratch / PIPELINE).is_file():
            bundle = Bundle.open(scratch)
            write_pipeline(scratch, bundle.task, target)
            bundle.updated()
