"""The shipped first trials as values of a configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from paddle_automl.core.errors import ConfigError
from paddle_automl.core.loading import read_config, validate
from paddle_automl.core.merging import lookup, with_overrides
from paddle_automl.pipeline.config import RunConfig
from paddle_automl.pipeline.jobs.settle import SettleResult
from paddle_automl.pipeline.portfolio.reading import FirstTrials, ImageFacts, first_trials
from paddle_automl.pipeline.runs.folder import RunFolder
from paddle_automl.pipeline.space import holds

RECIPE = ("training.epochs", "training.batch_size", "refit.rate_power", "refit.most_epochs")
"""Options that follow the data where the configuration does not state them."""


def with_first_trials(
    config: RunConfig, facts: SettleResult, *, searching: bool = True, fresh: bool = False
) -> RunConfig:
    """Return the configuration with the first trials that `search.first: auto` stands for.

    Without `searching` a configuration keeps its own values, and only the recipe follows the data. In a folder
    with such a search, unless a `fresh` one is begun, they are those of that search, whatever the budget is now.
    What the search space does not hold is left out, so that the space can be narrowed. Raises ConfigError for data
    of unknown shape, or a space that is not written.
    """
    if config.search.first != "auto":
        return config
    if not isinstance(config.search.space, dict):
        raise ConfigError(
            "search.first: auto needs a written search.space, as in configs/images.yaml; space: auto has first "
            "trials of its own"
        )
    if facts.shape is None or len(facts.shape) != 3:
        raise ConfigError("search.first: auto is for images; list the configurations to try first, or leave it out")
    earlier = None if fresh or not searching else _earlier(config)
    if earlier is not None:
        return _taken_over(config, earlier)
    channels, height, width = facts.shape
    known = ImageFacts((channels, height, width), facts.items, frozenset(facts.processor))
    found = first_trials(known, config.budget.time)
    return _applied(config, found if searching else replace(found, values={}, others=()))


def told(config: RunConfig) -> str:
    """Return a sentence about the first trials that were chosen for the data."""
    recipe = config.training
    return (
        f"first trials for these data and this budget: {recipe.epochs} epochs with batches of {recipe.batch_size}, "
        f"and {len(config.search.listed_first)} changes to compare with"
    )


def _applied(config: RunConfig, found: FirstTrials) -> RunConfig:
    assert isinstance(config.search.space, dict)
    recipe = {key: found.recipe[key] for key in _left_to_the_data(config)}
    values = with_overrides(config.as_dict(), recipe)
    values, _ = _changed(config, values, found.values)
    others = [_changed(config, values, change)[1] for change in found.others]
    listed = [change for number, change in enumerate(others) if change and change not in others[:number]]
    return validate(RunConfig, with_overrides(values, {"search.first": listed}))


def _left_to_the_data(config: RunConfig) -> list[str]:
    """Return the options of `RECIPE` that the configuration does not state."""
    split = [(key, *key.split(".")) for key in RECIPE]
    return [key for key, section, name in split if name not in getattr(config, section).model_fields_set]


def _changed(
    config: RunConfig, values: dict[str, Any], changes: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return `values` with those of the changes that the search space holds, and these changes."""
    assert isinstance(config.search.space, dict)
    kept: dict[str, Any] = {}
    for key, value in changes.items():
        domain, changed = config.search.space.get(key), with_overrides(values, {key: value, "search.first": []})
        if domain is None or not holds(key, domain, changed):
            continue
        try:
            validate(RunConfig, changed)
        except ConfigError:
            continue
        values, kept[key] = changed, value
    return values, kept


def _earlier(config: RunConfig) -> Mapping[str, Any] | None:
    """Return the configuration of a search in the output folder, whose first trials were chosen; None without."""
    folder = RunFolder(config.folder)
    if not folder.study.exists() or not folder.config.is_file():
        return None
    try:
        found, _ = read_config(folder.config)
    except ConfigError:
        return None
    return found if isinstance(found.get("search", {}).get("first"), list) else None


def _taken_over(config: RunConfig, earlier: Mapping[str, Any]) -> RunConfig:
    """Return the configuration with the earlier search's values where this one leaves them to the data."""
    assert isinstance(config.search.space, dict)
    keys = [*config.search.space, *_left_to_the_data(config), "search.first"]
    values = config.as_dict()
    for key in keys:
        try:
            values = with_overrides(values, {key: lookup(earlier, key)})
        except (ConfigError, KeyError):
            continue
    return validate(RunConfig, values)
