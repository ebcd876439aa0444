"""The chain of compression on a trained network."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import Strict

from paddle_automl.compression.config import CompressionConfig
from paddle_automl.core.files import write_json
from paddle_automl.core.paths import without_folders
from paddle_automl.core.schema import Section, Sequence
from paddle_automl.deployment.integrity import file_record
from paddle_automl.pipeline.config import RunConfig
from paddle_automl.pipeline.jobs.base import Shared, changes, enter, with_fold
from paddle_automl.pipeline.jobs.bundle import BundleResult
from paddle_automl.pipeline.jobs.networks import context_of, trained_with_data
from paddle_automl.pipeline.jobs.withheld import choice_of
from paddle_automl.pipeline.runs.folder import RunFolder
from paddle_automl.pipeline.runs.record import TrainResult, read_record
from paddle_automl.search.executors.base import Worker

REPORT_FILE = "compression.json"


@dataclass(frozen=True)
class CompressRequest:
    """Run the `chain` on the network of the folder `run`; write its bundles and a report below `target`.

    `trials` are folders of trained trials, best first, which may be teachers. With `within_s`, seconds from the
    start of the job, layers go back to float only where that fits in.
    """

    config: RunConfig
    chain: CompressionConfig
    run: Path
    target: Path
    shared: Shared
    trials: tuple[Path, ...] = ()
    within_s: float | None = None


class CompressResult(Section):
    """The results of a chain, also written as ``compression.json``."""

    best: str
    """Name of the last network that was kept."""
    steps: Sequence[dict[str, Any]]
    """The network before the chain and the result of each step, with the decision to keep it and its reason."""
    table: Sequence[dict[str, str]]
    """The same as rows of texts."""
    bundles: Sequence[BundleResult]
    """The bundles of the steps that were kept."""
    best_bundle: Annotated[Path, Strict(False)] | None
    """The bundle of the last of them, or None if the network before compression is still the best."""
    notes: Sequence[str] = ()
    """What has changed in the data since the training."""
    weights: str = ""
    """SHA-256 of the weights of the network before compression; empty in a record of an earlier version."""


def _tunes(record: TrainResult) -> bool:
    """Return whether the task of a training can be tuned again on its validation items.

    Not if the network has learned from them, or if the task was calibrated on those of further folds too.
    """
    return record.on == "train" and not (record.fitted_task().calibrates_on_folds and (record.folds or 1) > 1)


def run(request: CompressRequest, worker: Worker) -> CompressResult:
    """Run the chain on a trained network; write a bundle for each step that is kept, and a report."""
    from paddle_automl.compression.bundling import create_step_bundle
    from paddle_automl.compression.chain import compress
    from paddle_automl.compression.measuring import formats_asked

    until = None if request.within_s is None else time.monotonic() + request.within_s
    enter(worker)
    config = request.config
    chain = request.chain.model_copy(update={"formats": formats_asked(request.chain, config.deployment)})
    folder = RunFolder(request.run)
    trained, data = trained_with_data(config, folder, worker)
    record = read_record(folder)
    rebuilt_by = with_fold(config, record.fold).as_dict()
    trials = [RunFolder(trial) for trial in request.trials]
    context = context_of(config, data, trained.network, worker, report=worker.report, trials=trials)
    context = replace(context, tune_task=_tunes(record), score=choice_of(folder))
    result = compress(context.original, chain, context, until)
    bundles = []
    for position, step in enumerate(result.steps):
        if position and step.kept:
            bundle = create_step_bundle(
                step,
                folder=request.target / f"{position}_{step.name}",
                context=context,
                compression=chain,
                deployment=config.deployment,
                config=rebuilt_by,
                metrics={},
            )
            bundles.append(BundleResult.of(bundle))
    outcome = CompressResult(
        **result.as_dict(),
        table=tuple(result.table()),
        bundles=tuple(bundles),
        best_bundle=bundles[-1].bundle if bundles else None,
        notes=changes(),
        weights=file_record(folder.weights).sha256,
    )
    # The folder of the bundles can be moved.
    report = without_folders(outcome.model_dump(mode="json"), (request.target,))
    write_json(request.target / REPORT_FILE, report)
    return outcome
