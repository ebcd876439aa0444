"""Starts slow preparations early: an executor may import Paddle while the command reads its configuration.

Imports nothing heavy itself.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

PRELOAD = "paddle_automl.pipeline.jobs.preload"
"""Module that imports everything that a trial needs."""
EXECUTOR_KEY = "search.executor"


def begin(config_file: str | None = None, overrides: Mapping[str, Any] | None = None) -> None:
    """Prepare the executor that a configuration names; without a configuration the local one.

    An executor of a plugin is not known yet and starts later. Mistakes in the configuration are left to its
    validation.
    """
    stable_hashing()
    from paddle_automl.core.errors import AutoMLError
    from paddle_automl.search.executors.base import EXECUTORS

    try:
        name = "local" if config_file is None else _named(config_file, overrides or {})
        cls = EXECUTORS[name]
    except AutoMLError:
        return
    cls.prepare((PRELOAD,))


def stable_hashing() -> None:
    """Make Python's text hashes the same in every worker, independent of the environment."""
    os.environ.setdefault("PYTHONHASHSEED", "0")


def _named(config_file: str, overrides: Mapping[str, Any]) -> str:
    from paddle_automl.core.loading import read_config
    from paddle_automl.core.merging import lookup
    from paddle_automl.core.paths import located

    data, _ = read_config(located(config_file), overrides)
    try:
        found = lookup(data, EXECUTOR_KEY)
    except KeyError:
        return "local"
    return str(found.get("name", "local") if isinstance(found, Mapping) else found)
