"""A trial is a configuration: the search's own with the trial's choices merged in, runnable alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from paddle_automl.core.files import write_text
from paddle_automl.core.loading import validate
from paddle_automl.core.merging import with_overrides
from paddle_automl.core.paths import absolute_path, readable
from paddle_automl.core.seeds import integer_seed
from paddle_automl.core.yaml_io import dump_yaml
from paddle_automl.data.config import absolute
from paddle_automl.pipeline.config import RunConfig
from paddle_automl.space.space import SearchSpace

CONFIG_FILE = "config.yaml"
WEIGHTS_FILE = "best.pdparams"
RESULT_FILE = "result.json"
METRICS_FILE = "metrics.jsonl"
LOG_FILE = "train.log"
ALONE_FOLDER = "alone"
"""Where a trial's configuration, run by itself, puts its results: the search's record stays as it is."""
SEARCH_ONLY = ("search", "budget", "compression")


def trial_folder(config: RunConfig, number: int) -> Path:
    """Return the folder of a trial: OUTPUT/trials/0007."""
    return config.folder / "trials" / f"{number:04d}"


def standalone(config: RunConfig, output: Path) -> dict[str, Any]:
    """Return the configuration of one training: no search, absolute data paths, its own output folder."""
    split = config.data.split.model_copy(update={"seed": split_seed(config)})
    section = absolute(config.data).model_copy(update={"split": split})
    model = config.model
    if model.pretrained is not None:
        model = model.model_copy(update={"pretrained": absolute_path(model.pretrained)})
    changes = {"data": section, "model": model, "metric": config.epoch_metric()}
    data = _with_absolute_teachers(config.model_copy(update=changes)).as_dict()
    return {**alone(data), "output": readable(output.resolve())}


def alone(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return a whole configuration without the sections that only a search has.

    The chain of compression is among them, unless each trial is compressed.
    """
    compressed = data["compression"]["in_trials"]
    return {key: data[key] for key in data if key not in SEARCH_ONLY or (key == "compression" and compressed)}


def _with_absolute_teachers(config: RunConfig) -> RunConfig:
    distillation = config.distillation
    if distillation is None:
        return config
    teachers = tuple(absolute_path(name) for name in distillation.teacher)
    return config.model_copy(update={"distillation": distillation.model_copy(update={"teacher": teachers})})


def split_seed(config: RunConfig) -> int:
    """Return the seed of the split into training, validation and test part."""
    return config.seed if config.data.split.seed is None else config.data.split.seed


def trial_config(
    config: RunConfig, space: SearchSpace, params: Mapping[str, Any], output: Path, repeat: int = 0
) -> RunConfig:
    """Return the validated configuration of a trial with the choices `params`.

    A `repeat`, counted from 1, has a seed of its own; the data stay split as they are.
    """
    chosen = with_overrides(standalone(config, output), space.overrides(params))
    trial = _with_absolute_teachers(validate(RunConfig, chosen))
    if not repeat:
        return trial
    return trial.model_copy(update={"seed": integer_seed(trial.seed, "repeat", repeat)})


def write_config(config: RunConfig, folder: Path) -> None:
    """Write a training's configuration to its folder; the sections that only a search has are left out."""
    write_text(folder / CONFIG_FILE, dump_yaml(alone(config.as_dict())))


def identity(config: RunConfig) -> dict[str, Any]:
    """Return whatever changes a trial's result, but the space and the objectives, by dotted key.

    Where a search was warm-started from belongs to it too: its first trials came from there. A study may be
    continued with another number of trials, budget, number of workers, controller or scheduler, but not with
    another identity.
    """
    data = standalone(config, config.folder)
    keep = {key: data[key] for key in ("seed", "metric", "data", "model", "training")}
    if config.distillation is not None:
        keep["distillation"] = data["distillation"]
    if config.compression.in_trials:
        chain = data["compression"]
        steps = {str(index): step for index, step in enumerate(chain["steps"])}
        keep["compression"] = {"steps": steps, "precision": chain["precision"]}
    flat = dict(_flatten(keep, ""))
    if config.search.warm_start:
        flat["search.warm_start"] = list(config.search.warm_start)
    # How batches are loaded does not change what is learned from them.
    for key in ("data.in_memory", "data.in_memory_limit_mb", "data.loader_workers"):
        flat.pop(key, None)
    return flat


def payload_of(
    search: RunConfig, config: RunConfig, *, folder: Path | None = None, on: str = "train"
) -> dict[str, Any]:
    """Return what a job needs: the configuration of one training, and what all trials of a search share."""
    root = search.folder.resolve()
    return {
        "config": config.as_dict(),
        "folder": str(folder or config.folder),
        "on": on,
        "objectives": [objective.metric for objective in search.search.objectives],
        "cache": str(root / "cache"),
        "lock": str(root / "cache" / "latency.lock"),
    }


def _flatten(value: Any, prefix: str) -> list[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        items = []
        for key, item in value.items():
            items += _flatten(item, f"{prefix}.{key}" if prefix else str(key))
        return items
    return [(prefix, value if not isinstance(value, list | dict) else json.dumps(value, sort_keys=True))]
