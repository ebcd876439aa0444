"""The final bundle: tested once, exported, checked for parity, timed."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

from paddle_automl.core.errors import AutoMLError, SearchFailedError, TimeUpError
from paddle_automl.core.files import sha256_of
from paddle_automl.core.loading import validate
from paddle_automl.deployment.bundle import Bundle
from paddle_automl.deployment.config import LEAST_CLASSES
from paddle_automl.pipeline.config import RunConfig
from paddle_automl.pipeline.jobs.base import call, job_of
from paddle_automl.pipeline.jobs.export import BundleResult, ExportRequest
from paddle_automl.pipeline.jobs.score import ScoreRequest
from paddle_automl.pipeline.jobs.withheld import LEAST_OF_TRAINING, WITHHELD
from paddle_automl.pipeline.runs.facts import DataFacts
from paddle_automl.pipeline.runs.folder import JOINED, RunFolder, name_of
from paddle_automl.pipeline.runs.keeping import CheckpointKeeper
from paddle_automl.pipeline.runs.sources import read_run_config
from paddle_automl.pipeline.stages.base import STAGES, Stage
from paddle_automl.pipeline.stages.choice import source_of, winner
from paddle_automl.pipeline.stages.ensemble import scores_of
from paddle_automl.pipeline.stages.estimates import MARGIN, START_S
from paddle_automl.pipeline.stages.fine_tune import ALL_DATA, validation_of
from paddle_automl.pipeline.stages.interim import MANIFEST, NOTE, interim_of, trial_of, write_interim
from paddle_automl.pipeline.stages.manifest import last_result
from paddle_automl.pipeline.stages.refit import refit_of
from paddle_automl.pipeline.stages.run import Run
from paddle_automl.search.configurations import Configuration

MEASURED_BEFORE = (
    "the exported network was trained on train+validation; its validation scores are those of the trial, "
    "measured before"
)
REJECTION_FRACTION = 0.1
"""Fraction of the budget for choosing the rejection score."""
PREPARED_S = 5.0
"""Seconds until such a training begins: data are read, and a few steps timed."""
LEAST_REJECTION_S = 1.0
"""Seconds below which none is begun."""
WEIGHTS = "weights"
"""Key of the SHA-256 of the exported weights in the result."""


@STAGES.register("export")
class Export(Stage):
    """Tests the better weights once and makes the final bundle; an unverified one never replaces a verified one."""

    place = 40

    def seconds(self, run: Run) -> float:
        """Return the estimated time of a test and an export."""
        return run.estimates.export() + rejection_s(run)

    def inputs(self, run: Run) -> Any:
        """Return the request, and the state of the weights."""
        chosen = winner(run)
        source = source_of(run, chosen, refit_of(run))
        stat = source.weights.stat()
        request = export_request(run, chosen, source, read_run_config(source.config))
        return {
            "config": request.config.as_dict(),
            "source": run.folder.relative(source),
            "validation": request.validation,
            "weights": [stat.st_size, stat.st_mtime_ns],
        }

    def is_intact(self, run: Run, result: Any) -> bool:
        """Return whether the bundle exists intact, by the hashes of all files."""
        if not isinstance(result, dict) or not run.folder.inside(str(result.get("source"))).weights.exists():
            return False
        try:
            Bundle.open(run.folder.bundle)
            # Where an earlier bundle was kept, this one is still to be made.
            return not bundle_in(result).kept
        except AutoMLError:
            return False

    def work(self, run: Run, until: float | None) -> dict[str, Any]:
        """Return the bundle's record, and the folder of its weights relative to the output as `source`.

        Without time, or if the new bundle does not pass its parity check, these are those of the earlier bundle,
        and `BundleResult.kept` says why.
        """
        chosen = winner(run)
        source = source_of(run, chosen, refit_of(run))
        wanted, earlier = run.folder.relative(source), earlier_of(run)
        try:
            result = self._export(run, chosen, source, until)
        except TimeUpError:
            if earlier is None:
                raise SearchFailedError(
                    f"budget.time: no time was left to export trial {chosen.first.number}; raise budget.time and "
                    "run the same command again: finished trials stay"
                ) from None
            untested = "untested " if earlier.untested else ""
            run.observer.on_message(
                f"no time was left for the final export, of {name_of(wanted)}; the {untested}bundle of "
                f"{name_of(earlier.source)} is kept. Raise budget.time and run the same command again to make it"
            )
            kept = earlier.result.model_copy(update={"kept": "no time was left for the final export"})
            return recorded(run, kept, earlier.source)
        if not result.kept:
            run.folder.manifest(MANIFEST).unlink(missing_ok=True)
            # Weights that were kept only for the earlier bundle.
            trial = trial_of(run.folder, wanted)
            CheckpointKeeper(run.config, run.study, exported=lambda: trial).close()
            return recorded(run, result, wanted)
        run.observer.on_message(
            f"the final export, of {name_of(wanted)}, is not used: {result.kept}. {run.folder.bundle} keeps the "
            f"verified bundle of {name_of(earlier.source if earlier else '')}. If the difference is acceptable, "
            "allow it in deployment.parity and run the same command again"
        )
        if earlier is None:
            return recorded(run, result, "")
        return recorded(run, self._tested(run, earlier, result, until), earlier.source)

    def _tested(self, run: Run, earlier: Earlier, kept: BundleResult, until: float | None) -> BundleResult:
        """Return the record of a bundle that is kept, tested once if it was made during the search."""
        if not earlier.untested:
            return kept
        trial = run.folder.inside(earlier.source)
        request = ScoreRequest(read_run_config(trial.config), run.folder.bundle, run.shared)
        job = job_of("score", request, run.folder.log("export"), run.config)
        try:
            shown = run.observer.job("testing the exported bundle once")
            result = call(run.executor, job, BundleResult, shown, until)
        except TimeUpError:
            return kept
        write_interim(run.folder, int(trial.path.name), result)
        return result.model_copy(update={"kept": kept.kept})

    def _export(self, run: Run, chosen: Configuration, source: RunFolder, until: float | None) -> BundleResult:
        interim, trained = interim_of(run.folder), read_run_config(source.config)
        request = export_request(run, chosen, source, trained)
        spare = None if until is None else until - time.monotonic() - run.estimates.export()
        # A refit may have many times the epochs of a trial, more than this time is for.
        request = replace(
            request, rejection_s=_within(rejection_s(run), spare), rejection_epochs=run.config.training.epochs
        )
        log = run.folder.log("export")
        same = interim is not None and run.folder.trial(interim[0]).path == source.path and interim[1].verified
        # A search that is continued may want another deployment than that of the trial.
        same = same and trained.deployment == request.config.deployment
        if same and not request.config.deployment.formats and not request.rejection_s:
            shown = run.observer.job("testing the exported bundle once")
            job = job_of("score", ScoreRequest(request.config, run.folder.bundle, run.shared), log, run.config)
        else:
            shown = run.observer.job("testing once, exporting and comparing with the trained network")
            job = job_of("export", request, log, run.config)
        return call(run.executor, job, BundleResult, shown, until)


def export_request(run: Run, chosen: Configuration, source: RunFolder, trained: RunConfig) -> ExportRequest:
    """Return the request of the final export of the network in `source`, whose configuration is `trained`."""
    validation, note = None, ""
    if source.path == run.folder.refit.path and run.config.refit.data == "train+validation":
        keys = [key for key in run.config.epoch_metrics() if all(key in item.metrics for item in chosen.runs)]
        validation = {key: fmean(item.metrics[key] for item in chosen.runs) for key in keys}
        note = MEASURED_BEFORE
    elif source.path == run.folder.fine_tuned(ALL_DATA).path:
        validation, note = validation_of(run), MEASURED_BEFORE
    elif source.path == run.folder.in_ensemble(JOINED).path:
        validation, note = scores_of(run)
    return ExportRequest(
        deployed(run, trained),
        source.path,
        run.folder.bundle,
        run.shared,
        test=True,
        validation=validation,
        note=note,
        keep_verified=True,
    )


def deployed(run: Run, trained: RunConfig) -> RunConfig:
    """Return the configuration of a training of this search with the deployment that is asked for now.

    A search that is continued may have another one. Compressed trials have made their own bundles.
    """
    if run.config.compression.in_trials:
        return trained
    return trained.model_copy(update={"deployment": run.config.deployment})


def rejection_s(run: Run) -> float:
    """Return the most seconds for choosing the rejection score: 0 if it is off or does not apply.

    That takes as long as a training without some of the classes, but no more than the options and the budget allow.
    """
    config, epoch_s = run.config, run.estimates.epoch_s
    options, budget = config.deployment.rejection, config.budget.time
    if not options.active or config.task is None or config.task.name != "single_label":
        return 0.0
    if config.compression.in_trials or not options.training_s:
        # The winner of compressed trials is already a finished bundle.
        return 0.0
    facts: DataFacts | None = run.results.get("check")
    if facts is not None and len(facts.names) < LEAST_CLASSES:
        return 0.0
    limit = options.training_s if budget is None else min(options.training_s, REJECTION_FRACTION * budget)
    if epoch_s is None:
        return limit
    training_s = MARGIN * config.training.epochs * epoch_s
    # The time would be kept back for nothing where even the shortest useful training does not fit into it.
    least_s = LEAST_OF_TRAINING * (1 - 1 / WITHHELD) * training_s + PREPARED_S
    return 0.0 if least_s > limit else min(limit, training_s + START_S)


def _within(seconds: float, spare: float | None) -> float:
    """Return `seconds`, or what is spared of the time left; 0 if that is too little for a training."""
    if spare is None:
        return seconds
    return min(seconds, spare) if spare >= LEAST_REJECTION_S else 0.0


@dataclass(frozen=True)
class Earlier:
    """The bundle that the final one is to replace."""

    result: BundleResult
    source: str
    """The folder of its weights relative to the output; empty if they are gone or others now."""
    untested: bool


def earlier_of(run: Run) -> Earlier | None:
    """Return the bundle of the trials, or the final one of an earlier start, or None without a known one."""
    interim = interim_of(run.folder)
    if interim is not None:
        number, result = interim
        return Earlier(result, run.folder.relative(run.folder.trial(number)), result.metrics.get("note") == NOTE)
    former = last_result(run.folder.manifest(Export.name))
    if not isinstance(former, dict):
        return None
    try:
        Bundle.open(run.folder.bundle)
        result, source = bundle_in(former), str(former["source"])
    except (AutoMLError, KeyError):
        return None
    weights = run.folder.inside(source).weights
    # A trial's weights stay as they are, or are deleted; a refit is trained again.
    if not weights.is_file() or former.get(WEIGHTS) not in (None, sha256_of(weights)):
        source = ""
    return Earlier(result, source, untested=False)


def recorded(run: Run, result: BundleResult, source: str) -> dict[str, Any]:
    """Return what the manifest records of a bundle from the weights in the folder `source`."""
    weights = run.folder.inside(source).weights
    found = sha256_of(weights) if source and weights.is_file() else None
    return {**result.model_dump(mode="json"), "source": source, WEIGHTS: found}


def bundle_of(run: Run) -> BundleResult:
    """Return the record of this run's final bundle."""
    return bundle_in(run.results[Export.name])


def bundle_in(result: Mapping[str, Any]) -> BundleResult:
    """Return the record of the bundle in a result of this stage; raises ConfigError if it is not one."""
    return validate(BundleResult, {key: value for key, value in result.items() if key not in ("source", WEIGHTS)})
