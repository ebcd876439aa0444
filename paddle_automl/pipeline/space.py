"""The search space of a configuration: as written, or collected from the declarations of classes."""

from __future__ import annotations

from typing import Any

from paddle_automl.core.errors import ConfigError
from paddle_automl.core.program import command
from paddle_automl.models.backbones.base import BACKBONES
from paddle_automl.pipeline.config import RunConfig
from paddle_automl.space.space import SearchSpace
from paddle_automl.space.tree import Params

SEARCHED = ("data", "model", "training", "distillation", "seed")
_AUTO_COMMON: dict[str, Any] = {
    "model.activation": {"choice": ["relu", "hardswish", "gelu"]},
    "model.dropout": {"float": [0.0, 0.4], "step": 0.1},
    "training.optimizer": {
        "momentum": {"learning_rate": {"log": [0.005, 0.3]}},
        "adamw": {"learning_rate": {"log": [0.0005, 0.02]}},
        "muon": {"learning_rate": {"log": [0.01, 0.3]}},
    },
}


def make_space(config: RunConfig) -> SearchSpace:
    """Return the parsed space; raises ConfigError for a configuration without one, with advice."""
    spec = config.search.space
    if spec is None:
        raise ConfigError(
            "search.space: is not set, so there is nothing to search; add domains (search.space: auto uses "
            "those of the classes), or train the configured values: "
            f"{command('train')} -c FILE"
        )
    if spec == "auto":
        return SearchSpace.parse(auto_spec(config.data.input.name))
    searched = (*SEARCHED, "compression") if config.compression.in_trials else SEARCHED
    idle = [key for key in spec if key.split(".")[0] not in searched]
    if any(key.split(".")[0] == "compression" for key in idle):
        raise ConfigError(
            "search.space: varies compression, which trials use only with compression.in_trials: true; set it, "
            "and candidates are compressed before they are measured"
        )
    if idle:
        raise ConfigError(
            [f"search.space.{key}: does not affect trials; valid are keys of {', '.join(SEARCHED)}" for key in idle]
        )
    return SearchSpace.parse(spec, config=config)


def auto_spec(takes: str = "image") -> dict[str, Any]:
    """Return the space for ``auto``: every backbone for an input with its domains, and a recipe.

    Raises ConfigError if no backbone takes the input.
    """
    backbones = {name: dict(BACKBONES[name].space) for name in BACKBONES.names() if BACKBONES[name].takes == takes}
    if not backbones:
        raise ConfigError(f"search.space: auto finds no backbone that takes {takes} input; write the domains")
    return {"model.backbone": backbones, **_AUTO_COMMON}


def baseline_of(config: RunConfig, space: SearchSpace) -> Params | None:
    """Return the configuration's own values as choices, the first trial.

    With ``space: auto`` values outside the collected domains are not a mistake: then there is no such trial.
    """
    try:
        return space.params_of(config.as_dict())
    except ConfigError:
        if config.search.space == "auto":
            return None
        raise
