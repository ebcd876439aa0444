"""The commands as functions, for Python and notebooks."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from paddle_automl.core import streams
from paddle_automl.core.loading import load_config
from paddle_automl.core.moved import moved_argument
from paddle_automl.pipeline import commands
from paddle_automl.pipeline.commands import TrainingOutcome
from paddle_automl.pipeline.config import RunConfig
from paddle_automl.pipeline.evaluation import evaluate_model
from paddle_automl.pipeline.jobs.bundle import BundleResult
from paddle_automl.pipeline.jobs.compress import CompressResult
from paddle_automl.pipeline.jobs.newcomers import LOSS
from paddle_automl.pipeline.progress.display import Display
from paddle_automl.pipeline.progress.observer import Observer
from paddle_automl.pipeline.progress.results import SearchResult
from paddle_automl.pipeline.refitting import RefitOutcome, refit_run, run_to_refit
from paddle_automl.pipeline.stages import run as stages

Config = str | os.PathLike[str]


def run_search(
    config: Config, overrides: Mapping[str, Any] | None = None, *, fresh: bool = False, progress: bool = True
) -> SearchResult:
    """Search, refit the winner, test it once, export, verify and compress it, as ``tools/search.py`` does.

    `config` is a YAML file; `overrides` maps dotted keys to values, as in ``{"search.trials": 20}``. The
    result holds the best configuration, the trials (`trials_table()`), the metrics and the bundle. A script
    needs no ``if __name__`` guard. Raises the errors of `paddle_automl.core.errors`.
    """
    settings = load_config(RunConfig, Path(config), overrides)
    return stages.run_search(settings, _observer(settings, progress), fresh=fresh)


def train(
    config: Config, overrides: Mapping[str, Any] | None = None, *, fresh: bool = False, progress: bool = True
) -> TrainingOutcome:
    """Train a configuration's own values, as ``tools/train.py`` does."""
    settings = load_config(RunConfig, Path(config), overrides)
    return commands.train_run(settings, _observer(settings, progress), fresh=fresh)


def refit(
    output: Config,
    data: Config,
    to: Config | None = None,
    *,
    epochs: int | None = None,
    overrides: Mapping[str, Any] | None = None,
    fresh: bool = False,
    old_loss: float = LOSS,
    progress: bool = True,
) -> RefitOutcome:
    """Train the winner of a search further with the images in the folder `data`, as ``tools/refit.py`` does.

    The result holds the training, the accuracies before and after (`comparison`), and the exported bundle. `to` is
    the folder of the results, by default `output` with the end ``_refit``. `old_loss` is the accuracy on old
    classes that may be lost to new ones.
    """
    observer = _observer(run_to_refit(Path(output)).config, progress)
    target = None if to is None else Path(to)
    return refit_run(
        Path(output),
        Path(data),
        target,
        observer,
        epochs=epochs,
        overrides=overrides,
        fresh=fresh,
        old_loss=old_loss,
    )


def export(run: Config, bundle: Config | None = None) -> BundleResult:
    """Export a run or a trial to a bundle and verify it, as ``tools/export.py`` does."""
    return commands.export_run(Path(run), Path(bundle) if bundle is not None else None)


def compress(config: Config, run: Config, overrides: Mapping[str, Any] | None = None) -> CompressResult:
    """Compress a run or a search's result into bundles, as ``tools/compress.py`` does."""
    return commands.compress_run(load_config(commands.CompressFile, Path(config), overrides), Path(run))


def evaluate(
    model: Config,
    split: str | None = None,
    *,
    mistakes: int = 10,
    overrides: Mapping[str, Any] | None = None,
    part: str | None = None,
) -> dict[str, Any]:
    """Evaluate a bundle, a run or a trial, as ``tools/evaluate.py`` does; `part` is the old name of `split`."""
    split = moved_argument("part", "split", part, split)
    return evaluate_model(Path(model), split, mistakes=mistakes, overrides=overrides)


def _observer(config: RunConfig, progress: bool) -> Observer:
    if not progress or sys.stderr is None:
        return Observer()
    # Output that cannot be shown, as in a service without a terminal, does not stop the work.
    stream = streams.display(sys.stderr)
    plain = not stream.isatty()
    return Display(Console(file=stream, highlight=False, width=140 if plain else None, soft_wrap=plain), config)
