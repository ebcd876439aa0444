"""The command `refit`: the network of a search or a training learns new items and classes, without a search."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paddle_automl.core import signals
from paddle_automl.core.display_text import shown
from paddle_automl.core.errors import BundleError, ConfigError, DataError, InterruptedRunError, OutputError
from paddle_automl.core.loading import overridden, validate
from paddle_automl.core.paths import absolute_path, located, readable
from paddle_automl.data.config import FeatureViews
from paddle_automl.data.datasets.base import DatasetConfig
from paddle_automl.data.datasets.image_folder import ImageFolder
from paddle_automl.pipeline.config import RunConfig
from paddle_automl.pipeline.jobs.base import call, job_of, shared_of, start_executor
from paddle_automl.pipeline.jobs.bundle import BundleResult
from paddle_automl.pipeline.jobs.compare import CompareRequest, CompareResult
from paddle_automl.pipeline.jobs.export import ExportRequest
from paddle_automl.pipeline.jobs.newcomers import LOSS
from paddle_automl.pipeline.jobs.warmup import stable_hashing
from paddle_automl.pipeline.progress.observer import Observer
from paddle_automl.pipeline.runs.folder import RunFolder
from paddle_automl.pipeline.runs.place import LockedFolder
from paddle_automl.pipeline.runs.remembered import data_to_grow
from paddle_automl.pipeline.runs.sources import LEARNED_VALIDATION, TrainedRun, open_run, read_run_config
from paddle_automl.pipeline.training import TrainingOutcome, train_run

FRACTION = 0.5
"""Epochs of a refit, as a fraction of those of the training that it continues. The learning rate is the same: on
digits with two new classes, smaller ones were worse on the old classes too, which are trained as well."""


@dataclass(frozen=True)
class RefitOutcome:
    """Result of a refit with new data."""

    training: TrainingOutcome
    """The training, and its folder."""
    comparison: CompareResult
    """Accuracies before and after."""
    bundle: BundleResult
    """The exported network."""


def refit_run(
    path: str | Path,
    data: str | Path,
    target: Path | None = None,
    observer: Observer | None = None,
    *,
    epochs: int | None = None,
    overrides: Mapping[str, Any] | None = None,
    fresh: bool = False,
    old_loss: float = LOSS,
) -> RefitOutcome:
    """Train the network of a search or a training further, on its data and the new `data`; compare and export it.

    `target` is the folder of the results, by default that of `path` with the end ``_refit``; the folder `path` does
    not change. `epochs` are half of the earlier ones by default; `overrides` change other options of the run,
    such as ``{"data.dataset.root": PATH}`` where its data were moved. `fresh`: see `train_run`. `old_loss` is the
    accuracy on old classes that may be lost to new ones; 1: new classes keep all that they take. Raises
    ConfigError or DataError for a run or data that cannot grow.
    """
    run, given = run_to_refit(path), RunFolder(located(path))
    target = target or given.path.resolve().with_name(f"{given.path.resolve().name}_refit")
    _check_target(target, given)
    config = refit_config(run, str(data), target, epochs=epochs, overrides=overrides)
    observer = observer or Observer()
    if run.config.distillation is not None and run.config.distillation.active:
        observer.on_message("distillation is left out: its teacher does not know the new data")
    training = train_run(config, observer, fresh=fresh, grows=run.folder.path, on=run.record.on, old_loss=old_loss)
    for note in training.notes:
        observer.on_message(note)
    return _judged(run, training, observer)


def run_to_refit(path: str | Path) -> TrainedRun:
    """Return the trained network in the output folder of a search or a training; raises BundleError for others."""
    folder = RunFolder(located(path))
    if not folder.config.is_file():
        state = "holds no training" if folder.path.is_dir() else "does not exist"
        raise BundleError(
            f"{shown(folder.path)}: {state} ({folder.config.name} is missing); name the output folder of a search "
            "or of a training, as a bundle alone does not know its data and settings"
        )
    return open_run(path)


def refit_config(
    run: TrainedRun,
    data: str,
    target: Path,
    *,
    epochs: int | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> RunConfig:
    """Return the configuration of a refit: that of the run with more data, the old weights and a short schedule."""
    found, places = overridden(run.asked_config.as_dict(), {}, overrides or {})
    config = validate(RunConfig, found, places)
    if run.record.task.name != "single_label":
        raise ConfigError(f"{run.folder.path}: predicts {run.record.task.name}; a refit is for single_label")
    if config.compression.in_trials:
        raise ConfigError(
            f"{run.folder.path}: was compressed in its training; refit the network before compression with "
            "-o compression.in_trials=false, then compress it with tools/compress.py"
        )
    # An old run whose splits are unknown is refused before anything is trained.
    data_to_grow(run.folder, run.record)
    changes: dict[str, Any] = {
        "output": readable(target),
        "data": config.data.model_copy(
            update={
                "dataset": _with_added(config, data),
                "folds": None,
                "fold": None,
                "input": _input(run, config),
                # They would take several times as long as the features of the new items.
                "feature_views": FeatureViews(),
            }
        ),
        "distillation": None,
    }
    if config.model.freeze is None:
        changes["training"] = config.training.of_epochs(epochs or math.ceil(config.training.epochs * FRACTION))
        frozen = min(config.model.frozen_epochs, changes["training"].epochs - 1)
        # All of the old network, not only what it was pretrained with.
        changes["model"] = config.model.model_copy(
            update={"pretrained": absolute_path(readable(run.folder.path)), "frozen_epochs": frozen}
        )
    elif epochs is not None:
        # A head on features that are computed anew takes seconds, so it is trained from the start.
        changes["training"] = config.training.of_epochs(epochs)
    return config.model_copy(update=changes)


def _input(run: TrainedRun, config: RunConfig) -> Any:
    """Return the options by which items are read as the network reads them, whatever `auto` means for more data."""
    stated, given = run.record.fitted_input(run.folder).stated(), config.data.input
    if stated is None:
        return given
    fixed = {name: getattr(stated, name) for name in type(stated).model_fields if getattr(stated, name) != "auto"}
    return given.model_copy(update=fixed)


def _with_added(config: RunConfig, data: str) -> DatasetConfig:
    """Return the data set with the new folder; raises an error if the old or the new data are missing."""
    dataset = config.data.dataset
    if not isinstance(dataset, ImageFolder.Config):
        raise ConfigError(
            "--data: a refit adds a folder of images to those of the data set image_folder, but the run was "
            f"trained on '{dataset.name}'; export its images to a folder per class, and train on that"
        )
    for name, paths in dataset.given_paths().items():
        for path in paths:
            if not located(path).is_dir():
                value = "PATH" if name == "root" else "[PATH]"
                raise DataError(
                    f"data.dataset.{name}: the old data are needed too, but the folder '{shown(path)}' does not "
                    f"exist; say where it is now with -o data.dataset.{name}={value}"
                )
    new = located(data)
    if not new.is_dir():
        raise DataError(f"--data {shown(data)}: is not a folder; name one that holds a folder of images per class")
    real = new.resolve()
    for path in (dataset.root, *dataset.added):
        old = located(path).resolve()
        if real == old:
            # New images were put among the old ones.
            return dataset
        if old in real.parents or real in old.parents:
            raise ConfigError(
                f"--data {shown(data)}: one of this folder and the old data's '{shown(path)}' lies in the other, "
                "so images would be read twice; move it out, or name the old folder itself if new images are in it"
            )
    return dataset.model_copy(update={"added": (*dataset.added, absolute_path(data))})


def _check_target(target: Path, given: RunFolder) -> None:
    own, other = target.resolve(), given.path.resolve()
    search = given.search
    places = {other} if search is None else {other, search.path.resolve()}
    if any(own == place or place in own.parents or own in place.parents for place in places):
        raise OutputError(
            f"--to {shown(target)}: must be outside of '{shown(given.path)}', which a refit does not change"
        )


def _judged(run: TrainedRun, training: TrainingOutcome, observer: Observer) -> RefitOutcome:
    """Compare the new network with the old one, and export it."""
    stable_hashing()
    folder = RunFolder(training.folder)
    config = read_run_config(folder.config)
    learned = training.on == "train+validation"
    compared = CompareRequest(config, folder.path, run.config, run.folder.path)
    exported = ExportRequest(
        config,
        folder.path,
        folder.bundle,
        shared_of(config),
        validation={} if learned else None,
        note=LEARNED_VALIDATION if learned else "",
    )
    try:
        with (
            signals.as_ctrl_c(),
            LockedFolder(folder.path, "a refit"),
            start_executor(config, workers=1) as executor,
            observer,
        ):
            log = folder.log("export")
            comparison = call(
                executor, job_of("compare", compared, log, config), CompareResult, observer.job("comparing")
            )
            display = observer.job("exporting and comparing with the trained network")
            bundle = call(executor, job_of("export", exported, log, config), BundleResult, display)
    except KeyboardInterrupt:
        raise InterruptedRunError(f"{signals.how()}; the trained network is kept in '{folder.path}'") from None
    return RefitOutcome(training, comparison, bundle)
