"""The contract of options, for every kind of plugin."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from pydantic import ValidationError

from paddle_automl.core.describe import all_options
from paddle_automl.core.schema import PluginConfig


def check_options(plugin: Any) -> None:
    """Assert that class and options have a description, which help prints, and that a wrong key is refused.

    The options are a `PluginConfig` named ``Config`` in the class.
    """
    assert (plugin.__doc__ or "").strip(), f"{plugin.__name__} has no docstring"
    assert issubclass(plugin.Config, PluginConfig), f"{plugin.__name__}.Config does not derive from PluginConfig"
    for option in all_options(plugin.Config):
        assert option.doc, f"{plugin.__name__}.Config.{option.key} has no docstring under it"
    with pytest.raises(ValidationError, match="unknown key"):
        plugin.Config.model_validate({"no_such_option": 1})


def config_of(plugin: Any, options: Mapping[str, Any]) -> Any:
    """Return the options of a plugin as in a configuration, with its registered name."""
    return plugin.Config.model_validate({"name": getattr(plugin, "name", ""), **options})
