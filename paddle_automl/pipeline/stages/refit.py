"""The refit: the winner is trained again for as many epochs as planned, or as time allows."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from paddle_automl.core.errors import AutoMLError, BundleError, TrialError
from paddle_automl.core.loading import validate
from paddle_automl.core.paths import readable
from paddle_automl.core.schema import PluginConfig
from paddle_automl.pipeline.config import RunConfig
from paddle_automl.pipeline.jobs.base import call, job_of
from paddle_automl.pipeline.jobs.pacing import with_frozen_epochs
from paddle_automl.pipeline.jobs.train import TrainRequest, TrainResult
from paddle_automl.pipeline.runs.folder import RunFolder
from paddle_automl.pipeline.runs.record import read_record
from paddle_automl.pipeline.runs.sources import read_run_config
from paddle_automl.pipeline.runs.trials import trial_config
from paddle_automl.pipeline.stages.base import STAGES, Stage
from paddle_automl.pipeline.stages.choice import readable_weights, winner
from paddle_automl.pipeline.stages.run import Run
from paddle_automl.search.records import TrialRecord

LOG = "refit"
UNRELATED = ("device", "plugins", "visualdl")
LOADING = ("in_memory", "in_memory_limit_mb", "loader_workers")
"""Options of the data that say how batches are loaded."""


@STAGES.register("refit")
class Refit(Stage):
    """Trains the winner's configuration from scratch with another seed; without time it is skipped."""

    place = 30

    def seconds(self, run: Run) -> float:
        """Return the estimated time of its epochs."""
        return run.estimates.refit()

    def inputs(self, run: Run) -> Any:
        """Return the configuration and the data of the training; what does not affect it is that of the trial."""
        best = winner(run).first
        config = _as_in_its_trial(run, best, refit_config(run, best, run.estimates.planned_epochs))
        # What the section `refit` changes is stated beside it.
        values = {key: value for key, value in config.as_dict().items() if key != "refit"}
        return {"config": values, "on": run.config.refit.data, "rate_power": run.config.refit.rate_power}

    def outputs(self, run: Run) -> Iterable[Path]:
        """Return the files that the export needs."""
        folder = run.folder.refit
        return folder.weights, folder.config, folder.result

    def is_intact(self, run: Run, result: Any) -> bool:
        """Return whether the refit exists with readable weights; one that was skipped is tried again."""
        if result is None or not all(path.is_file() for path in self.outputs(run)):
            return False
        try:
            validate(TrainResult, result)
        except AutoMLError:
            return False
        return readable_weights(run.folder.refit)

    def work(self, run: Run, until: float | None) -> dict[str, Any] | None:
        """Return the result of the training, or None if it was skipped or failed."""
        best = winner(run).first
        run.folder.write_best(best_config(run, best))
        try:
            return self._train(run, best, until)
        except TrialError as error:
            run.observer.on_message(f"no refit: {error}; the best trial's weights are exported")
            return None

    def _train(self, run: Run, best: TrialRecord, until: float | None) -> dict[str, Any]:
        planned = run.estimates.planned_epochs
        left = None if until is None else until - time.monotonic()
        if min(planned, run.estimates.fitting_epochs(best, left)) < run.estimates.least_epochs:
            raise TrialError("too little time is left for it")
        config, folder = refit_config(run, best, planned), run.folder.refit
        shown = run.observer.job("refitting the best configuration", planned)
        if run.logs is not None:
            run.logs.open(LOG)

        def on_epoch(epoch: int, metrics: Mapping[str, float]) -> None:
            shown(epoch, metrics)
            if run.logs is not None:
                run.logs.write(LOG, epoch, metrics)

        result = train_again(run, best, config, folder, until, on_epoch)
        for note in result.notes:
            run.observer.on_message(f"refit: {note}")
        return result.model_dump(mode="json")


def train_again(
    run: Run,
    trial: TrialRecord,
    config: RunConfig,
    folder: RunFolder,
    until: float | None,
    on_epoch: Callable[[int, Mapping[str, float]], object],
) -> TrainResult:
    """Train the configuration of a trial's refit into `folder`, on the data that a refit has, in the time left."""
    folder.write_config(config, clear=True)

    def on_report(epoch: int, metrics: Mapping[str, float]) -> bool:
        on_epoch(epoch, metrics)
        # The training itself ends in time; see `TimeLimit`.
        return until is None or time.monotonic() < until

    on = run.config.refit.data
    request = TrainRequest(
        config,
        folder.path,
        run.shared,
        on,
        None if on == "train" else tuned_task(run, trial),
        None if until is None else until - time.monotonic(),
        solve_s=run.estimates.refit_solve_s,
        least_epochs=run.estimates.least_epochs,
        rate_power=run.config.refit.rate_power,
        rate_epochs=run.estimates.epochs_of(trial),
        whole=True,
        alone=True,
    )
    job = job_of("train", request, folder.log("train"), run.config)
    return call(run.executor, job, TrainResult, on_report, until)


def tuned_task(run: Run, best: TrialRecord) -> PluginConfig | None:
    """Return the task tuned on validation by the best trial, such as thresholds; None without a record."""
    try:
        return read_record(run.folder.trial(best.number)).task
    except BundleError:
        return None


def refit_of(run: Run) -> TrainResult | None:
    """Return the result of this run's refit, or None without one."""
    recorded = run.results.get(Refit.name)
    return None if recorded is None else validate(TrainResult, recorded)


def best_config(run: Run, best: TrialRecord) -> RunConfig:
    """Return the configuration of the best trial for a training by itself."""
    return trial_config(run.config, run.space, best.params, run.folder.trial(best.number).alone)


def _as_in_its_trial(run: Run, best: TrialRecord, config: RunConfig) -> RunConfig:
    """Return the configuration with the options of the trial that a refit does not depend on.

    A search that is continued may have others, such as further formats: its refit is not made again for them.
    """
    try:
        trial = read_run_config(run.folder.trial(best.number).config)
    except AutoMLError:
        return config
    # Compressed trials and refits make their own bundles.
    kept = UNRELATED if config.compression.in_trials else (*UNRELATED, "deployment")
    update = {key: getattr(trial, key) for key in kept}
    data = config.data.model_copy(update={key: getattr(trial.data, key) for key in LOADING})
    return config.model_copy(update={**update, "data": data})


def refit_config(run: Run, best: TrialRecord, epochs: int) -> RunConfig:
    """Return the configuration of the refit with this number of epochs, at the trial's learning rate."""
    config = best_config(run, best)
    cheap = config.training.progressive.fitting(epochs) if run.config.refit.progressive else None
    return config.model_copy(
        update={
            "output": readable(run.folder.refit.path.resolve()),
            # A single network is trained, on the usual split.
            "data": config.data.model_copy(update={"folds": None}),
            "training": config.training.of_epochs(epochs, cheap),
            "model": with_frozen_epochs(config.model, epochs, config.training.epochs),
            # The trial's own seed would only repeat the trial; seeds of repeats are drawn, not consecutive.
            "seed": config.seed + 1,
        }
    )
