"""Gathers what a report is made from: the records in a folder of results, complete or not."""

from __future__ import annotations

import platform
import shlex
from collections.abc import Mapping
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from paddle_automl.core.errors import AutoMLError, BundleError, ConfigError
from paddle_automl.core.files import read_json_lines, read_json_object, sha256_of
from paddle_automl.core.loading import validate
from paddle_automl.core.locking import LOCK, holder_of
from paddle_automl.core.moved import with_moved_keys
from paddle_automl.core.paths import readable, without_folders
from paddle_automl.core.plugins import load_plugins, plugins_of
from paddle_automl.core.runtime import processor_name, usable_cores
from paddle_automl.core.version import VERSION
from paddle_automl.core.yaml_io import read_yaml
from paddle_automl.deployment.integrity import network_mb
from paddle_automl.pipeline.config import RunConfig
from paddle_automl.pipeline.jobs.compress import REPORT_FILE
from paddle_automl.pipeline.runs.folder import RunFolder
from paddle_automl.pipeline.runs.trials import needed_paths
from paddle_automl.pipeline.stages.manifest import last_result
from paddle_automl.reporting.answers import Answers
from paddle_automl.reporting.material import Material
from paddle_automl.search.objective import Objective
from paddle_automl.search.reading import StoredStudy, read_study

PACKAGES = ("paddlepaddle", "paddlepaddle-gpu", "paddleslim", "optuna", "numpy", "onnxruntime", "openvino")


def check_folder(folder: RunFolder) -> None:
    """Raise BundleError for a folder with nothing to report."""
    if not folder.path.is_dir():
        raise BundleError(f"{folder.path}: no such folder; give the output folder of a search or of a training")
    if not (folder.is_search or folder.config.is_file()):
        raise BundleError(
            f"{folder.path}: holds neither {folder.study.name} nor {folder.config.name}; give the output folder "
            f"of a search or of a training"
        )


def material_of(
    folder: RunFolder, answers: Answers | None, answers_fault: str = "", *, running: bool = False
) -> Material:
    """Return everything known about a search or a training; what is missing or damaged is left out.

    `answers` are those of the exported network; `answers_fault` says why there are none. `running` is set by the
    search itself, which holds the folder's lock.
    """
    config = _config(folder)
    load_plugins(plugins_of(config))
    study, fault = _study(folder)
    bases = (folder.path, *_needed(config))
    exported, bundle = _result(folder, "export"), _bundle(folder)
    own = None if folder.is_search else _lines(folder.metrics)
    source = str(exported.get("source") or "")
    usual = not source or source.startswith(f"{folder.trials.name}/") or source == folder.relative(folder.refit)
    # Otherwise the folder is that of an earlier winner's.
    refitted = not _has_none(folder, "refit")
    material = Material(
        name=readable(folder.path.resolve().name),
        running=not running and holder_of(folder.path / LOCK) is not None,
        config=config,
        data=_json(folder.data),
        study=study,
        study_fault=fault,
        objectives=_objectives(config),
        summary=_json(folder.summary),
        source=source,
        kept=str(exported.get("kept") or ""),
        refit=_json(folder.refit.result) or None if refitted else None,
        refit_curve=_lines(folder.refit.metrics) if refitted else [],
        further_curve=[] if usual else _lines(folder.inside(source).metrics),
        ensemble=_result(folder, "ensemble") if config.get("ensemble") is not None else {},
        curve=own or [],
        bundle=bundle,
        bundle_mb=_size_mb(bundle),
        compression=_compression(folder, exported),
        answers=None if answers is None else answers.model_dump(mode="json"),
        answers_fault=answers_fault,
        machine=machine(),
        commands=_commands(folder),
    )
    return _without_folders(material, bases)


def machine() -> dict[str, str]:
    """Return the processor, its cores, the system, and the versions of Python and of the main packages."""
    facts = {
        "processor": processor_name(),
        "cores": str(usable_cores()),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "paddle_automl": VERSION,
    }
    for name in PACKAGES:
        try:
            facts[name.replace("paddlepaddle", "paddle")] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return facts


def stored_answers(folder: RunFolder) -> Answers | None:
    """Return the answers of an earlier report if they are those of the network that is exported now, else None."""
    bundle = _bundle(folder)
    try:
        found = validate(Answers, _json(folder.answers))
    except ConfigError:
        return None
    return found if bundle is not None and found.bundle == bundle.get("sha256") else None


def _without_folders(material: Material, bases: tuple[Any, ...]) -> Material:
    cleaned = {
        name: without_folders(getattr(material, name), bases)
        for name in ("config", "data", "summary", "refit", "bundle", "compression", "answers")
        if getattr(material, name)
    }
    return replace(material, **cleaned)


def _config(folder: RunFolder) -> dict[str, Any]:
    try:
        return with_moved_keys(read_yaml(folder.config)[0], warn=False)
    except (ConfigError, OSError):
        return {}


def _needed(config: Mapping[str, Any]) -> list[str]:
    try:
        return needed_paths(validate(RunConfig, dict(config)))
    except AutoMLError:
        return []


def _objectives(config: Mapping[str, Any]) -> tuple[Objective, ...]:
    listed = (config.get("search") or {}).get("objectives") or ()
    try:
        return tuple(Objective.model_validate(item) for item in listed)
    except (ValidationError, ConfigError):
        return ()


def _study(folder: RunFolder) -> tuple[StoredStudy | None, str]:
    if not folder.is_search:
        return None, ""
    try:
        return read_study(folder.study), ""
    except AutoMLError as error:
        return None, str(error).removeprefix(f"{folder.study}: ")


def _json(file: Path) -> dict[str, Any]:
    return read_json_object(file) or {}


def _result(folder: RunFolder, stage: str) -> Mapping[str, Any]:
    found = last_result(folder.manifest(stage))
    return found if isinstance(found, dict) else {}


def _has_none(folder: RunFolder, stage: str) -> bool:
    """Return whether a stage of the search has ended without a result."""
    found = _json(folder.manifest(stage))
    return "result" in found and found["result"] is None


def _compression(folder: RunFolder, exported: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the record of the chain if it started from the network that is exported now.

    Its folder may hold the networks of an earlier winner.
    """
    found = _json(folder.compressed.path / REPORT_FILE)
    if not found:
        return None
    if not found.get("weights"):
        # A record of an earlier version does not say where it started.
        return None if _has_none(folder, "compress") else found
    known = exported.get("weights")
    weights = folder.inside(str(exported.get("source") or "")).weights
    if known is None and weights.is_file():
        known = sha256_of(weights)
    return found if found["weights"] == known else None


def _lines(file: Path) -> list[dict[str, Any]]:
    try:
        return read_json_lines(file)
    except OSError:
        return []


def _bundle(folder: RunFolder) -> dict[str, Any] | None:
    try:
        found = read_yaml(folder.bundle_file)[0]
    except (ConfigError, OSError):
        return None
    return found if isinstance(found, dict) else None


def _size_mb(bundle: Mapping[str, Any] | None) -> float | None:
    files = (bundle or {}).get("files")
    if not isinstance(files, dict):
        return None
    return network_mb({name: item["bytes"] for name, item in files.items()})


def _commands(folder: RunFolder) -> dict[str, str]:
    """Return the commands that repeat and use the results, relative to the folder that holds this one."""
    name = shlex.quote(readable(folder.path.resolve().name))
    found = {
        "search": f"search -c {name}/config.yaml --fresh",
        "train": f"train -c {name}/best.yaml",
        "predict": f"predict -m {name}/model FILE",
        "report": f"report {name}",
        "watch": f"watch {name}",
    }
    if not folder.is_search:
        found = {
            "train": f"train -c {name}/config.yaml",
            **{key: found[key] for key in ("predict", "report")},
        }
    return {key: f"python -m paddle_automl {text}" for key, text in found.items()}
