"""Configurations of trials: the search's own with the trial's choices merged in, which can be trained alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from paddle_automl.core.files import sha256_of
from paddle_automl.core.loading import validate
from paddle_automl.core.merging import with_overrides
from paddle_automl.core.paths import absolute_path, located, readable
from paddle_automl.core.schema import paths_in, with_paths
from paddle_automl.core.seeds import integer_seed
from paddle_automl.data.config import absolute
from paddle_automl.pipeline.config import RunConfig
from paddle_automl.pipeline.runs.folder import config_alone
from paddle_automl.space.space import SearchSpace


def standalone(config: RunConfig, output: Path) -> dict[str, Any]:
    """Return the configuration of one training: no search, absolute data paths, its own output folder."""
    split = config.data.split.model_copy(update={"seed": split_seed(config)})
    config = _with_absolute_paths(config)
    changes = {"data": config.data.model_copy(update={"split": split}), "metric": config.epoch_metric()}
    data = config_alone(config.model_copy(update=changes))
    return {**data, "output": readable(output.resolve())}


def _with_absolute_paths(config: RunConfig) -> RunConfig:
    model = with_paths(config.model, absolute_path)
    if model.weights_path is not None:
        model = model.model_copy(update={"pretrained": absolute_path(model.weights_path)})
    changes: dict[str, Any] = {"data": absolute(config.data), "model": model}
    if config.distillation is not None:
        changes["distillation"] = with_paths(config.distillation, absolute_path)
    return config.model_copy(update=changes)


def needed_paths(config: RunConfig) -> list[str]:
    """Return the files and folders that a configuration names and that its results depend on."""
    names = paths_in((config.data, config.model, config.distillation, config.fine_tuning))
    return [name for name in (*names, config.model.weights_path, *config.search.warm_start) if name]


def split_seed(config: RunConfig) -> int:
    """Return the seed of the split into training, validation and test."""
    return config.seed if config.data.split.seed is None else config.data.split.seed


def trial_config(
    config: RunConfig, space: SearchSpace, params: Mapping[str, Any], output: Path, repeat: int = 0
) -> RunConfig:
    """Return the validated configuration of a trial with the choices `params`.

    A `repeat`, counted from 1, has its own seed; the splits of the data are the same.
    """
    chosen = with_overrides(standalone(config, output), space.overrides(params))
    trial = _with_absolute_paths(validate(RunConfig, chosen))
    if not repeat:
        return trial
    return trial.model_copy(update={"seed": integer_seed(trial.seed, "repeat", repeat)})


def identity(config: RunConfig) -> dict[str, Any]:
    """Return everything that affects a trial's result, except the space and the objectives, by dotted key.

    The sources of a warm start are included: the first trials came from there. A study may be continued with
    another number of trials, budget, number of workers, controller or scheduler, but not with another identity.
    """
    data = standalone(config, config.folder)
    keep = {key: data[key] for key in ("seed", "task", "metric", "data", "model", "training")}
    if config.distillation is not None:
        keep["distillation"] = data["distillation"]
    if config.compression.in_trials:
        chain = data["compression"]
        steps = {str(index): step for index, step in enumerate(chain["steps"])}
        keep["compression"] = {"steps": steps, "precision": chain["precision"]}
    flat = dict(_flatten(keep, ""))
    if config.search.warm_start:
        flat["search.warm_start"] = list(config.search.warm_start)
    if config.search.constraints:
        flat["search.constraints"] = [str(item) for item in config.search.constraints]
    flat.update(_contents(config))
    # How batches are loaded does not affect the result.
    for key in ("data.in_memory", "data.in_memory_limit_mb", "data.loader_workers"):
        flat.pop(key, None)
    return flat


def _contents(config: RunConfig) -> dict[str, str]:
    """Return a hash of each file that the input, an augmentation or the network takes: its content may change."""
    contents = {}
    given = (config.data.input, config.data.augment, config.model)
    for path in map(absolute_path, paths_in(given)):
        try:
            contents[f"content of {path}"] = sha256_of(located(path))[:16]
        except OSError:
            contents[f"content of {path}"] = "unreadable"
    return contents


def _flatten(value: Any, prefix: str) -> list[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        items = []
        for key, item in value.items():
            items += _flatten(item, f"{prefix}.{key}" if prefix else str(key))
        return items
    return [(prefix, value if not isinstance(value, list | dict) else json.dumps(value, sort_keys=True))]
