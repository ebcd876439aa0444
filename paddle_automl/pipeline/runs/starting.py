"""Another run whose network is the start of a training (`model.pretrained: output/other`)."""

from __future__ import annotations

import hashlib
from typing import Any

from paddle_automl.core.errors import BundleError, ConfigError
from paddle_automl.core.files import open_regular
from paddle_automl.core.paths import located
from paddle_automl.models.config import ModelConfig
from paddle_automl.models.published import KEY
from paddle_automl.pipeline.config import RunConfig
from paddle_automl.pipeline.runs.record import read_record
from paddle_automl.pipeline.runs.sources import TrainedRun, open_run

BROUGHT = ("channels", "mean", "std", "interpolation")
"""Options of `data.input` that belong to the weights; size and fit may differ."""


def run_of_weights(model: ModelConfig) -> TrainedRun | None:
    """Return the run that `pretrained` names; None for a file, for published weights and for nothing.

    Raises ConfigError if the folder holds no trained network.
    """
    path = model.weights_path
    if path is None or not located(path).is_dir():
        return None
    try:
        run = open_run(path)
        # Its input and its task are needed too.
        read_record(run.folder)
    except BundleError as error:
        raise ConfigError(f"{KEY}: {error}") from None
    return run


def starts_of(model: ModelConfig) -> list[TrainedRun]:
    """Return the run that `pretrained` names, the one whose network that run started from, and so on.

    Raises ConfigError if the folder that `pretrained` names holds no trained network.
    """
    found: list[TrainedRun] = []
    run = run_of_weights(model)
    while run is not None and run.folder not in [other.folder for other in found]:
        found.append(run)
        try:
            run = run_of_weights(run.config.model)
        except ConfigError:
            # This network exists, whatever has become of the one that it started from.
            break
    return found


def weights_of_run(run: TrainedRun) -> str:
    """Return a hash of everything that the network of a run depends on, SHA-256 in hexadecimal."""
    with open_regular(run.folder.weights) as file:
        digest = hashlib.sha256(file.read())
    # A head alone also depends on the weights of its frozen backbone.
    digest.update(run.record.frozen.encode("ascii"))
    return digest.hexdigest()


def same_head(ours: ModelConfig, theirs: ModelConfig) -> bool:
    """Return whether both have the same layers behind the backbone."""
    return (ours.head, ours.feature_norm) == (theirs.head, theirs.feature_norm)


def with_input_of_run(config: RunConfig) -> RunConfig:
    """Return the configuration with the options of `data.input` that the weights of another run bring.

    Raises ConfigError for an option that states something else, or for a run with another kind of input.
    """
    run = run_of_weights(config.model)
    if run is None:
        return config
    fitted, stated = run.record.input, config.data.input
    if fitted.name != stated.name:
        raise ConfigError(f"{KEY}: {run.folder.path}: takes {fitted.name} input, the data are {stated.name} input")
    changes: dict[str, Any] = {}
    for key in BROUGHT:
        if not hasattr(fitted, key) or key not in type(stated).model_fields:
            continue
        own, value = getattr(stated, key), getattr(fitted, key)
        if own not in ("auto", value) and key != "interpolation":
            raise ConfigError(
                f"data.input.{key}: must be {value} as in {run.folder.path}, where the weights come from, "
                f"got {own}; leave it out"
            )
        changes[key] = value
    given = stated.model_copy(update=changes)
    return config.model_copy(update={"data": config.data.model_copy(update={"input": given})})
