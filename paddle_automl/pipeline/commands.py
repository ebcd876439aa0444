"""The commands beside the search: train one configuration, export a run, evaluate a model, dry run."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from paddle_automl.core.errors import BundleError, ConfigError, InterruptedRunError, OutputError
from paddle_automl.core.files import make_output_folder
from paddle_automl.core.loading import overridden, validate
from paddle_automl.core.merging import with_overrides
from paddle_automl.core.yaml_io import read_yaml
from paddle_automl.pipeline.candidates import corners, covering
from paddle_automl.pipeline.config import RunConfig
from paddle_automl.pipeline.jobs import remote
from paddle_automl.pipeline.jobs.base import call
from paddle_automl.pipeline.jobs.warmup import stable_hashing
from paddle_automl.pipeline.machine import devices_of, start_executor, workers_of
from paddle_automl.pipeline.progress.observer import Observer
from paddle_automl.pipeline.progress.results import BundleOutcome, TrainingOutcome
from paddle_automl.pipeline.progress.visualdl_log import VisualDLLog
from paddle_automl.pipeline.runs.sources import BUNDLE_FILE, BUNDLE_FOLDER, find_bundle, is_search, open_run
from paddle_automl.pipeline.runs.trials import LOG_FILE, payload_of, standalone, write_config
from paddle_automl.pipeline.space import baseline_of, make_space
from paddle_automl.pipeline.stages.clock import EXPORT_S

LEARNED_VALIDATION = "this network was trained on train+validation, so its validation scores say nothing"


def train_run(config: RunConfig, observer: Observer | None = None) -> TrainingOutcome:
    """Train a configuration's own values into its output folder; raises TrialError where it diverges."""
    stable_hashing()
    observer = observer or Observer()
    folder = make_output_folder(config.folder)
    _refuse_search(folder)
    own = validate(RunConfig, standalone(config, folder))
    write_config(own, folder)
    if (folder / BUNDLE_FOLDER / BUNDLE_FILE).is_file():
        # It holds the network of an earlier training into this folder.
        shutil.rmtree(folder / BUNDLE_FOLDER)
    logs = VisualDLLog(folder) if config.visualdl else None
    with start_executor(config, workers=1) as executor, observer:
        told = observer.job("training", config.training.epochs)
        if logs is not None:
            logs.open("visualdl")

        def on_report(epoch: int, metrics: Mapping[str, float]) -> bool:
            told(epoch, metrics)
            if logs is not None:
                logs.write("visualdl", epoch, metrics)
            return True

        try:
            payload = payload_of(config, own, folder=folder)
            result = call(executor, remote.train_alone, payload, folder / LOG_FILE, on_report)
        except KeyboardInterrupt:
            raise InterruptedRunError(f"interrupted; the best epoch so far is kept in {folder}") from None
        finally:
            if logs is not None:
                logs.close_all()
    return TrainingOutcome.from_job(folder, result)


def export_run(
    path: str | Path,
    target: Path | None = None,
    observer: Observer | None = None,
    formats: Sequence[str] | None = None,
) -> BundleOutcome:
    """Export a run or a trial to a bundle (by default its ``model`` folder) and prove it.

    `formats` are further formats in place of those in the run's own `deployment.formats`.
    """
    run = open_run(path)
    config = run.config
    if formats is not None and config.compression.in_trials:
        raise ConfigError(
            f"--formats: {path} was compressed in its training, which made its formats too; train it again with "
            "other deployment.formats"
        )
    if formats is not None:
        config = validate(RunConfig, with_overrides(config.as_dict(), {"deployment.formats": list(formats)}))
    if target is None and is_search(path):
        raise ConfigError(
            f"{path}: holds the exported and tested model of its search ({BUNDLE_FOLDER}); "
            "to export it once more, name another folder with --to"
        )
    bundle = target or Path(path) / BUNDLE_FOLDER
    payload = payload_of(config, config, folder=run.folder)
    payload |= {"run": str(run.folder), "bundle": str(bundle), "test": False}
    if run.learned_validation:
        payload |= {"validation": {}, "note": LEARNED_VALIDATION}
    observer = observer or Observer()
    with start_executor(run.config, workers=1) as executor, observer:
        told = observer.job("exporting and proving")
        result = call(executor, remote.export, payload, run.folder / "export.log", told)
    return BundleOutcome.from_job(result)


def evaluate_model(
    path: str | Path,
    part: str | None = None,
    *,
    mistakes: int = 10,
    overrides: Mapping[str, Any] | None = None,
    runtime: str = "auto",
) -> dict[str, Any]:
    """Evaluate a bundle, a run or a trial on a part of its data, or of other data given by `overrides`.

    Without `part`: the test part for a bundle or a search's folder, validation for a trial. `runtime` is who runs
    a bundle: see `Predictor`. Returns metrics, per-class figures, the confusion matrix and the worst mistakes as
    JSON-like data.
    """
    note = ""
    bundle = find_bundle(path)
    if bundle is not None:
        data = _bundle_config(bundle)
        source = {"bundle": str(bundle)}
        part = part or "test"
    else:
        run = open_run(path)
        data = run.config.as_dict()
        source = {"run": str(run.folder)}
        part = part or ("test" if run.learned_validation else "validation")
        if run.learned_validation and part != "test":
            note = LEARNED_VALIDATION
    data.pop("search", None)
    config = validate(RunConfig, *overridden(data, {}, overrides or {}))
    payload = {**payload_of(config, config), **source, "part": part, "mistakes": mistakes, "runtime": runtime}
    payload["cache"] = None
    stable_hashing()
    with start_executor(config, workers=1) as executor, tempfile.TemporaryDirectory() as scratch:
        result = call(executor, remote.evaluate, payload, Path(scratch) / "evaluate.log")
    return {"part": part, "note": note, **source, **result}


def dry_run(config: RunConfig) -> dict[str, Any]:
    """Check a search without running a trial, and time its smallest and largest candidate.

    Returns the facts of the data, the size of the space, both timings, and how many trials fit.
    """
    space = make_space(config)
    baseline = baseline_of(config, space)
    candidates = [*covering(config, space, baseline or {}), *corners(config, space)]
    listed = [[item.label, item.config.as_dict()] for item in candidates]
    payload = payload_of(config, config)
    payload["cache"] = None
    with start_executor(config, workers=1) as executor, tempfile.TemporaryDirectory() as scratch:
        log = Path(scratch) / "dry_run.log"
        call(executor, remote.check, {**payload, "candidates": listed}, log)
        result = call(executor, remote.time_candidates, {**payload, "candidates": listed}, log)
    workers = workers_of(config, devices_of(config))
    return {
        **result,
        "size": space.size(),
        "decisions": len(space.decisions),
        "workers": workers,
        "fits": what_fits(config, workers, result["smallest"]["trial_s"], result["largest"]["trial_s"]),
    }


def what_fits(config: RunConfig, workers: int, fastest_s: float, slowest_s: float) -> str:
    """Return a sentence on how many trials fit into the budget, or how long the trials take without one."""
    trials = config.search.trials
    if config.budget.time is None:
        least, most = (trials * seconds / workers for seconds in (fastest_s, slowest_s))
        return f"{trials} trials with {workers} worker(s) take between {least:.0f} s and {most:.0f} s"
    recipe = config.training
    ratio = (config.final.epochs or recipe.epochs) / recipe.progressive.whole_epochs(recipe.epochs)
    fit = []
    for seconds in (slowest_s, fastest_s):
        left = max(0.0, config.budget.time - EXPORT_S - ratio * seconds)
        fit.append(int(left * workers / seconds) if seconds else trials)
    low, high = min(fit[0], trials), min(fit[1], trials)
    return (
        f"between {low} and {high} of the {trials} trials fit into {config.budget.time:.0f} s "
        f"with {workers} worker(s), more where a scheduler stops the weak ones early"
    )


def _refuse_search(folder: Path) -> None:
    inside = folder.parent.name == "trials" and is_search(folder.parent.parent)
    if is_search(folder) or inside:
        raise OutputError(
            f"output: '{folder}' belongs to a search, whose record this training would overwrite; "
            "set another folder with -o output=PATH"
        )


def _bundle_config(bundle: Path) -> dict[str, Any]:
    data, _ = read_yaml(bundle / BUNDLE_FILE)
    config = data.get("config")
    if not isinstance(config, dict) or not config:
        raise BundleError(f"{bundle / BUNDLE_FILE}: config: holds no configuration, so its data is not known")
    return config
