"""The search space of a configuration: as written, or collected from the declarations of classes."""

from __future__ import annotations

from typing import Any

from paddle_automl.core.errors import ConfigError
from paddle_automl.core.loading import validate
from paddle_automl.core.merging import with_overrides
from paddle_automl.core.program import command
from paddle_automl.models.backbones.base import BACKBONES, KEY, Backbone
from paddle_automl.pipeline.config import RunConfig
from paddle_automl.space.space import SearchSpace
from paddle_automl.space.tree import Params
from paddle_automl.tasks.base import TASKS

NUMBERS = "numbers"
"""Kind of targets that tasks of numbers alone read."""
SEARCHED = ("data", "model", "training", "distillation", "seed")


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
        found = _spec_of(config)
        return SearchSpace.parse(_without(found, _own_keys(config, found)))
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


def _spec_of(config: RunConfig) -> dict[str, Any]:
    """Return the space for ``auto`` with the data and the task, if it is known already, of a configuration."""
    numbers = config.task is not None and NUMBERS in TASKS[config.task.name].reads
    return auto_spec(config.data.input.name, numbers=numbers)


def auto_spec(takes: str = "image", *, numbers: bool = False) -> dict[str, Any]:
    """Return the space for ``auto``: every searched backbone for an input with its domains, and their recipe.

    Where `numbers` are predicted, options without effect on them are left out: trials would differ in nothing.
    Raises ConfigError if no backbone takes the input.
    """
    kinds = _searched(takes)
    backbones = {name: dict(kind.space) for name, kind in kinds.items()}
    if numbers:
        for name, kind in kinds.items():
            for keys in kind.idle_for_numbers:
                backbones[name] = _left(backbones[name], keys)
    if not backbones:
        raise ConfigError(f"search.space: auto finds no backbone that takes {takes} input; write the domains")
    recipe = {key: domain for kind in kinds.values() for key, domain in kind.searched_recipe.items()}
    return {KEY: backbones, **recipe}


def _left(domains: dict[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
    """Return a copy of nested domains without the last one of `keys`, each inside of the one before it."""
    first, *inner = keys
    if inner:
        return {**domains, first: _left(domains[first], tuple(inner))}
    return {key: domain for key, domain in domains.items() if key != first}


def _own_keys(config: RunConfig, spec: dict[str, Any]) -> tuple[str, ...]:
    """Return the keys of `spec`, the space ``auto``, that the configuration decides itself.

    Its values there lie outside of the domains, and are not the defaults of the classes: somebody has chosen them,
    so they stay, and are not searched.
    """
    backbone = config.model.backbone.name
    domains = {key: domain for key, domain in spec.items() if key != KEY}
    domains |= {f"{KEY}.{key}": domain for key, domain in spec[KEY].get(backbone, {}).items()}
    values = config.as_dict()
    plain = {"data": {"dataset": values["data"]["dataset"]}, "model": {"backbone": backbone}}
    defaults = validate(RunConfig, plain).as_dict()
    return tuple(
        key
        for key, domain in domains.items()
        if not holds(key, domain, values) and _at(values, key) != _at(defaults, key)
    )


def holds(key: str, domain: Any, values: dict[str, Any]) -> bool:
    """Return whether the value of a key lies in its domain."""
    try:
        SearchSpace.parse({key: domain}).params_of(values)
    except ConfigError:
        return False
    return True


def _at(values: Any, key: str) -> Any:
    """Return the value at a dotted key; None where there is none."""
    for part in key.split("."):
        values = values.get(part) if isinstance(values, dict) else None
    return values


def _without(spec: dict[str, Any], own: tuple[str, ...]) -> dict[str, Any]:
    """Return the space without some keys; those of a backbone are left out of its domains."""
    left = {key: domain for key, domain in spec.items() if key not in own}
    left[KEY] = {
        name: {key: domain for key, domain in domains.items() if f"{KEY}.{key}" not in own}
        for name, domains in spec[KEY].items()
    }
    return left


def _below(key: str, own: tuple[str, ...]) -> bool:
    """Return whether a key is one of `own`, or below one."""
    return any(key == other or key.startswith(f"{other}.") for other in own)


def _searched(takes: str) -> dict[str, type[Backbone]]:
    """Return the backbones for an input that ``auto`` tries, by name."""
    found = {name: BACKBONES[name] for name in BACKBONES.names()}
    return {name: kind for name, kind in found.items() if kind.takes == takes and kind.searched}


def first_given(config: RunConfig, space: SearchSpace) -> list[Params]:
    """Return the choices of `search.first`, and with ``space: auto`` those that the backbones suggest.

    Raises ConfigError that names the entry for keys and values that are not in the space.
    """
    own = [(f"search.first.{number}", changes) for number, changes in enumerate(config.search.listed_first)]
    if config.search.space == "auto" and not own:
        kinds, decided = _searched(config.data.input.name), _own_keys(config, _spec_of(config))
        own = [
            (f"{KEY}: {name}", item)
            for name, kind in kinds.items()
            for item in kind.first_trials
            if not any(_below(key, decided) for key in item)
        ]
    values, found = config.as_dict(), []
    for where, changes in own:
        try:
            resolved = validate(RunConfig, with_overrides(values, changes)).as_dict()
            # An option may be written in a short form, which is resolved to a longer one; the space has it short.
            found.append(space.params_of(with_overrides(resolved, changes)))
        except ConfigError as error:
            raise ConfigError([f"{where}: {issue}" for issue in error.issues]) from None
    return found


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
