"""From the best trial to the bundle: the last training, the choice of weights, test, export and proof."""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

from paddle_automl.core.errors import SearchFailedError, TrialError
from paddle_automl.core.files import write_text
from paddle_automl.core.loading import load_config
from paddle_automl.core.paths import readable
from paddle_automl.core.yaml_io import dump_yaml
from paddle_automl.pipeline.config import GOALS, RunConfig
from paddle_automl.pipeline.jobs import remote
from paddle_automl.pipeline.jobs.base import call
from paddle_automl.pipeline.progress.observer import Observer
from paddle_automl.pipeline.progress.results import BundleOutcome, TrainingOutcome
from paddle_automl.pipeline.progress.visualdl_log import VisualDLLog
from paddle_automl.pipeline.runs.sources import BUNDLE_FOLDER, FINAL_FOLDER
from paddle_automl.pipeline.runs.trials import (
    ALONE_FOLDER,
    CONFIG_FILE,
    LOG_FILE,
    WEIGHTS_FILE,
    alone,
    payload_of,
    trial_config,
    trial_folder,
    write_config,
)
from paddle_automl.pipeline.stages.clock import EXPORT_S, Clock
from paddle_automl.pipeline.stages.manifest import run_stage
from paddle_automl.search.configurations import Configuration
from paddle_automl.search.executors.base import Executor
from paddle_automl.search.records import TrialRecord
from paddle_automl.space.space import SearchSpace
from paddle_automl.training.progressive import Progressive

BEST_FILE = "best.yaml"
WORTHWHILE = 0.5
"""Share of a trial's epochs below which a last training is not begun."""
MEASURED_BEFORE = (
    "the exported network was trained on train+validation; its validation scores are those of the trial, "
    "measured before"
)


class Finish:
    """The stages after the trials; each is skipped when a run before has done it with the same inputs."""

    def __init__(
        self,
        config: RunConfig,
        clock: Clock,
        executor: Executor,
        observer: Observer,
        space: SearchSpace,
        logs: VisualDLLog | None,
    ) -> None:
        self.logs = logs
        self.config = config
        self.clock = clock
        self.executor = executor
        self.observer = observer
        self.space = space
        self.folder = config.folder

    def run(self, best: Configuration) -> tuple[TrainingOutcome | None, str, BundleOutcome]:
        """Return the last training (None if there was no time), the folder exported from, and the bundle."""
        write_text(self.folder / BEST_FILE, dump_yaml(self._best_dict(best.first)))
        final = self._train_again(best.first)
        source = self._choose(best, final)
        return final, source, self._export(best, source)

    def best_config(self, best: TrialRecord) -> RunConfig:
        """Return the configuration of the best trial."""
        output = trial_folder(self.config, best.number) / ALONE_FOLDER
        return trial_config(self.config, self.space, best.params, output)

    def _best_dict(self, best: TrialRecord) -> dict[str, Any]:
        data = self.best_config(best).as_dict()
        data["output"] = readable((self.folder / "best_again").resolve())
        return alone(data)

    def _final_config(self, best: TrialRecord, epochs: int) -> RunConfig:
        config = self.best_config(best)
        schedule = config.training.lr_schedule
        warmup = getattr(schedule, "warmup_epochs", 0)
        if warmup >= epochs:
            schedule = schedule.model_copy(update={"warmup_epochs": 0})
        begins = config.training.progressive.fitting(epochs) if self.config.final.progressive else Progressive()
        changes = {"epochs": epochs, "lr_schedule": schedule, "progressive": begins}
        recipe = config.training.model_copy(update=changes)
        return config.model_copy(
            update={
                "output": readable((self.folder / FINAL_FOLDER).resolve()),
                "training": recipe,
                # The trial's own seed would only repeat the trial; those of repeats are drawn, not counted up.
                "seed": config.seed + 1,
            }
        )

    def _train_again(self, best: TrialRecord) -> TrainingOutcome | None:
        folder = self.folder / FINAL_FOLDER
        planned = self.config.final.epochs or self.config.training.epochs
        try:
            result = run_stage(
                self.folder,
                "final",
                {"config": self._final_config(best, planned).as_dict(), "on": self.config.final.data},
                [folder / WEIGHTS_FILE, folder / CONFIG_FILE],
                lambda: self._final_training(best, planned, folder),
            )
        except TrialError as error:
            self.observer.on_message(f"{error}; the best trial's weights are exported")
            return None
        return TrainingOutcome.from_job(folder, result)

    def _final_training(self, best: TrialRecord, planned: int, folder: Path) -> dict[str, Any]:
        epochs = min(planned, self.clock.fitting_epochs(best))
        if epochs < min(planned, self.config.training.epochs) * WORTHWHILE:
            raise TrialError("no time is left for the last training")
        if epochs < planned:
            self.observer.on_message(f"the last training gets {epochs} epochs, as the time left allows")
        config = self._final_config(best, epochs)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        write_config(config, folder)
        told = self.observer.job("training the best configuration once more", epochs)

        if self.logs is not None:
            self.logs.open(FINAL_FOLDER)

        def on_report(epoch: int, metrics: Mapping[str, float]) -> bool:
            told(epoch, metrics)
            if self.logs is not None:
                self.logs.write(FINAL_FOLDER, epoch, metrics)
            left = self.clock.left()
            return left is None or left > EXPORT_S

        payload = payload_of(self.config, config, folder=folder, on=self.config.final.data)
        return call(self.executor, remote.train, payload, folder / LOG_FILE, on_report)

    def _choose(self, best: Configuration, final: TrainingOutcome | None) -> str:
        """Return the folder, relative to the output, whose weights are the better ones on validation."""
        metric = self.config.epoch_metric()
        sign = 1.0 if GOALS[metric] == "maximize" else -1.0
        kept = [run for run in best.runs if (trial_folder(self.config, run.number) / WEIGHTS_FILE).exists()]
        own = max(kept, key=lambda run: sign * run.metrics.get(metric, -sign * math.inf), default=None)
        if final is None and own is None:
            raise SearchFailedError(
                f"trial {best.first.number}: its weights are gone and the last training did not succeed; "
                f"see {self.folder / FINAL_FOLDER / LOG_FILE}"
            )
        if own is None or (final is not None and self.config.final.data == "train+validation"):
            return FINAL_FOLDER
        # At equal scores the last training wins: it has usually seen more epochs.
        if final is not None and sign * final.metrics[metric] >= sign * own.metrics[metric]:
            return FINAL_FOLDER
        return str(trial_folder(self.config, own.number).relative_to(self.folder))

    def _export(self, best: Configuration, source: str) -> BundleOutcome:
        run = self.folder / source
        config = load_config(RunConfig, run / CONFIG_FILE)
        bundle = self.folder / BUNDLE_FOLDER
        payload = payload_of(self.config, config, folder=run)
        payload |= {"run": str(run), "bundle": str(bundle)}
        if source == FINAL_FOLDER and self.config.final.data == "train+validation":
            told = [key for key in GOALS if all(key in run.metrics for run in best.runs)]
            scores = {key: fmean(run.metrics[key] for run in best.runs) for key in told}
            payload |= {"validation": scores, "note": MEASURED_BEFORE}
        weights = run / WEIGHTS_FILE
        stat = weights.stat()
        result = run_stage(
            self.folder,
            "export",
            {"payload": {**payload, "threads": None}, "weights": [stat.st_size, stat.st_mtime_ns]},
            [bundle / "bundle.yaml"],
            lambda: {
                **call(
                    self.executor,
                    remote.export,
                    payload,
                    self.folder / "logs" / "export.log",
                    self.observer.job("testing once, exporting and proving"),
                ),
                "source": source,
            },
        )
        return BundleOutcome.from_job(result)
