"""Evaluation of a bundle, a run or a trial."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paddle_automl.core.errors import BundleError, ConfigError, DataError
from paddle_automl.core.loading import overridden, validate
from paddle_automl.core.moved import moved_key, with_moved_keys
from paddle_automl.core.paths import located, with_folders
from paddle_automl.core.plugins import KEY, absolute_plugins, load_plugins, plugins_of
from paddle_automl.core.yaml_io import read_yaml
from paddle_automl.data.datasets.base import DatasetConfig
from paddle_automl.deployment.integrity import declared_plugins, plugins_hint
from paddle_automl.pipeline.config import RunConfig
from paddle_automl.pipeline.jobs.base import call, job_of, start_executor
from paddle_automl.pipeline.jobs.evaluate import ALL, EvaluateRequest, EvaluateResult
from paddle_automl.pipeline.jobs.warmup import stable_hashing
from paddle_automl.pipeline.runs.folder import BUNDLE_FILE, RunFolder
from paddle_automl.pipeline.runs.sources import LEARNED_VALIDATION, open_run

_LEVELS = 3
"""How far above a bundle its run is looked for: ``trials/0001/model``, ``compressed/1_quantize_post``."""


@dataclass(frozen=True)
class EvaluationOutcome:
    """Result of an evaluation: the model, the split, and the scores."""

    split: str
    note: str
    source: Mapping[str, str]
    """``bundle`` or ``run``, and its folder."""
    result: EvaluateResult

    def as_dict(self) -> dict[str, Any]:
        """Return metrics, tables and the worst mistakes as JSON-like data.

        A metric that is undefined for these items is None.
        """
        result = self.result
        metrics = {key: value if math.isfinite(value) else None for key, value in result.metrics.items()}
        return {
            "split": self.split,
            "note": self.note,
            **self.source,
            f"{result.word}s": result.items,
            "metrics": metrics,
            **result.data,
            "worst_mistakes": [dict(item) for item in result.worst_mistakes],
        }


def evaluation_of(
    path: str | Path,
    split: str | None = None,
    *,
    mistakes: int = 10,
    overrides: Mapping[str, Any] | None = None,
    runtime: str = "auto",
    plugins: Sequence[str] = (),
) -> EvaluationOutcome:
    """Evaluate a bundle, a run or a trial on a split of its data, or on other data given by `overrides`.

    `split` is a split, or ``all`` for every item of the data. Without it: all items of another data set, the test
    split for a bundle or a search's folder, validation for a trial. `runtime`: the runtime of a bundle (see
    `Predictor`). `plugins` are loaded first; those that a bundle names are not loaded automatically.
    """
    load_plugins(plugins)
    note, run = "", None
    changed = [f"{moved_key(key)}." for key in overrides or {}]
    if any(key.startswith("data.dataset.") for key in changed):
        split = split or ALL
    bundle = RunFolder(located(path)).find_bundle()
    if bundle is not None:
        data = {**bundle_config(bundle), KEY: list(absolute_plugins(plugins))}
        source = {"bundle": str(bundle)}
        split = split or "test"
    else:
        run = open_run(path)
        data = run.config.as_dict()
        source = {"run": str(run.folder.path)}
        split = split or ("test" if run.learned_validation else "validation")
        if run.learned_validation and split != "test":
            note = LEARNED_VALIDATION
    data.pop("search", None)
    config = _validated(data, overrides or {}, bundle)
    request = EvaluateRequest(
        config,
        split,
        bundle,
        run.folder.path if run else None,
        mistakes,
        runtime,
        reads_alike=not any(key.startswith("data.input.") for key in changed),
    )
    stable_hashing()
    with start_executor(config, 1, caching=False) as executor, tempfile.TemporaryDirectory() as scratch:
        job = job_of("evaluate", request, Path(scratch) / "evaluate.log", config)
        try:
            result = call(executor, job, EvaluateResult)
        except DataError as error:
            if bundle is None or any(key.startswith("data.dataset.") for key in changed):
                raise
            raise DataError(f"{error}{_data_hint(config)}") from None
        return EvaluationOutcome(split, "; ".join(filter(None, (note, *result.notes))), source, result)


def _validated(data: Mapping[str, Any], overrides: Mapping[str, Any], bundle: Path | None) -> RunConfig:
    """Return the configuration with its overrides; an error about a bundle tells which plugins it names."""
    given, places = overridden(data, {}, _of_all(overrides, data))
    load_plugins(plugins_of(given))
    try:
        return validate(RunConfig, given, places)
    except ConfigError as error:
        hint = "" if bundle is None else plugins_hint(declared_plugins(bundle))
        raise ConfigError([*error.issues[:-1], f"{error.issues[-1]}{hint}"]) from None


def evaluate_model(
    path: str | Path,
    split: str | None = None,
    *,
    mistakes: int = 10,
    overrides: Mapping[str, Any] | None = None,
    runtime: str = "auto",
    plugins: Sequence[str] = (),
) -> dict[str, Any]:
    """Evaluate a bundle, a run or a trial; return the result of `evaluation_of` as JSON-like data."""
    found = evaluation_of(path, split, mistakes=mistakes, overrides=overrides, runtime=runtime, plugins=plugins)
    return found.as_dict()


def bundle_config(bundle: Path) -> dict[str, Any]:
    """Return the configuration in a bundle, with the folders of its data where its run is around it.

    Raises BundleError if it holds none.
    """
    data, _ = read_yaml(bundle / BUNDLE_FILE)
    config = data.get("config")
    if not isinstance(config, dict) or not config:
        raise BundleError(f"{bundle / BUNDLE_FILE}: config: holds no configuration, so its data are not known")
    return with_folders(with_moved_keys(config, warn=False), _run_config(bundle))


def _run_config(bundle: Path) -> dict[str, Any]:
    """Return the configuration of the run that a bundle lies in, which names the data with their folders; or {}."""
    for folder in list(bundle.resolve().parents)[:_LEVELS]:
        file = RunFolder(folder).config
        if file.is_file():
            return with_moved_keys(read_yaml(file)[0], warn=False)
    return {}


def _of_all(overrides: Mapping[str, Any], data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the overrides; another folder stands for all of the data, unless further ones are named too."""
    root, added = "data.dataset.root", "data.dataset.added"
    dataset = data.get("data", {}).get("dataset")
    if root in overrides and added not in overrides and isinstance(dataset, Mapping) and dataset.get("added"):
        return {**overrides, added: []}
    return dict(overrides)


def _data_hint(config: RunConfig) -> str:
    """Return what to do where the data of a bundle are not found: it names them without their folders."""
    dataset = config.data.dataset
    options = dataset.given_paths() if isinstance(dataset, DatasetConfig) else {}
    missing = [name for name, paths in options.items() if not all(located(path).exists() for path in paths)]
    if not missing:
        return ""
    values = {name: "PATH" if isinstance(getattr(dataset, name), str) else "[PATH]" for name in missing}
    given = " ".join(f"-o data.dataset.{name}={value}" for name, value in values.items())
    return f"; a bundle knows its data by name and content only: say where they are with {given} --split test"
