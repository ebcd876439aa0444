"""The paths for ``-m PATH``: a bundle, a search's output folder, a training run or one trial."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

from paddle_automl.core.errors import BundleError
from paddle_automl.core.loading import validate
from paddle_automl.core.moved import with_moved_keys
from paddle_automl.core.paths import located
from paddle_automl.core.plugins import load_plugins, plugins_of
from paddle_automl.core.program import command
from paddle_automl.core.yaml_io import read_yaml
from paddle_automl.pipeline.config import RunConfig
from paddle_automl.pipeline.runs.folder import BUNDLE_FILE, RunFolder
from paddle_automl.pipeline.runs.record import TrainResult, read_record
from paddle_automl.tasks.metrics.spelling import goal_of, value_in

LEARNED_VALIDATION = "this network was trained on train+validation, so its validation scores are meaningless"


@dataclass(frozen=True)
class TrainedRun:
    """A folder with a trained network, and its configuration."""

    folder: RunFolder
    config: RunConfig

    @property
    def record(self) -> TrainResult:
        """The record of the training; raises BundleError if it is missing."""
        return read_record(self.folder)

    @property
    def asked_config(self) -> RunConfig:
        """The configuration for another training, with the steps per epoch that were asked for."""
        search = self.folder.search
        return self.config if search is None else with_all_steps(self.config, read_run_config(search.config))

    @property
    def learned_validation(self) -> bool:
        """Whether the network was also trained on the validation split."""
        try:
            return self.record.on == "train+validation"
        except BundleError:
            return False


def with_all_steps(config: RunConfig, search: RunConfig) -> RunConfig:
    """Return the configuration of a training in a search with the steps per epoch that the search states.

    Where time was short the training had fewer, which its configuration states (`jobs.pacing.fitted`). Other
    trainings have their own time. With the option in the space, the trial's own number stays: its choice is not
    known here.
    """
    if "steps_per_epoch" in str(search.search.space):
        return config
    changes = {"steps_per_epoch": search.training.steps_per_epoch}
    return config.model_copy(update={"training": config.training.model_copy(update=changes)})


def is_search(path: str | Path) -> bool:
    """Return whether a path is the output folder of a search."""
    return RunFolder(located(path)).is_search


def open_run(path: str | Path) -> TrainedRun:
    """Return the trained run that a path names; raises BundleError saying what is missing.

    A search's output folder means the run that was exported: its refit or a trial.
    """
    folder = RunFolder(located(path))
    if not folder.path.is_dir():
        raise BundleError(f"{folder.path}: no such folder; -m takes a bundle, a run or a trial folder")
    folder = _exported(folder)
    if not folder.config.is_file():
        raise BundleError(
            f"{folder.path}: holds neither {BUNDLE_FILE} nor {folder.config.name}; "
            "-m takes a bundle, a run or a trial folder"
        )
    if not folder.weights.is_file():
        if folder.is_search:
            raise BundleError(_unfinished(folder))
        raise BundleError(
            f"{folder.path}: its weights ({folder.weights.name}) are gone; a search keeps those of its best trials "
            f"(search.keep_checkpoints). Train it again: {command('train')} -c {folder.config}"
        )
    return TrainedRun(folder, read_run_config(folder.config))


def _unfinished(search: RunFolder) -> str:
    """Return what to do about a search that has no network of its own yet: it was interrupted, or goes on."""
    kept = best_trials(search.path, read_run_config(search.config).epoch_metric())
    named = f", or name a trial, such as {kept[0].path}" if kept else ""
    return f"{search.path}: this search has not exported a network yet; run the same command again to end it{named}"


def read_run_config(file: Path) -> RunConfig:
    """Return the configuration that a training wrote into its folder; old keys are accepted too.

    Raises ConfigError if it is no longer valid.
    """
    data, positions = read_yaml(file)
    # Users do not edit it, so renamed keys need no warning.
    data = with_moved_keys(data, positions, warn=False)
    load_plugins(plugins_of(data))
    return validate(RunConfig, data, positions)


def best_trials(search: str | Path, metric: str) -> list[RunFolder]:
    """Return the trials of a search whose weights were kept, best first."""
    sign = -1.0 if goal_of(metric) == "maximize" else 1.0
    found = []
    for trial in RunFolder(located(search)).each_trial():
        if not trial.weights.is_file():
            continue
        try:
            value = value_in(read_record(trial).metrics, metric)
        except BundleError:
            continue
        if value is not None and not math.isnan(value):
            found.append((sign * value, trial))
    return [trial for _, trial in sorted(found, key=lambda item: (item[0], item[1].path))]


def _exported(folder: RunFolder) -> RunFolder:
    """Return the folder of the run that a search exported; any other folder unchanged."""
    try:
        chosen = json.loads(folder.manifest("export").read_text(encoding="utf-8"))["result"]["source"]
    except (OSError, ValueError, KeyError, TypeError):
        return folder
    source = folder.inside(chosen)
    return source if source.path.is_dir() else folder
