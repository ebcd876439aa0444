"""What the options of every plugin must hold to."""

from __future__ import annotations

from typing import Any

from paddle_automl.core.describe import all_options


def check_options(plugin: Any) -> None:
    """Assert that the class and each of its options have a description, which help and pages of options print."""
    assert (plugin.__doc__ or "").strip(), f"{plugin.__name__} has no docstring"
    for option in all_options(plugin.Config):
        assert option.doc, f"{plugin.__name__}.Config.{option.key} has no docstring under it"
