"""Manifests: what is already true is not done again."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from paddle_automl.core.files import digest, write_json

logger = logging.getLogger(__name__)


def run_once(manifest: Path, inputs: Any, stands: Callable[[Any], bool], work: Callable[[], Any]) -> Any:
    """Return the recorded result where it was made from the same inputs and `stands`, else that of `work`.

    The manifest holds the hash of the inputs and the result; it is written after the work, so work that was
    killed is done again.
    """
    key = digest(inputs)
    recorded = read_manifest(manifest)
    if recorded is not None and recorded.get("inputs") == key and stands(recorded.get("result")):
        logger.debug("%s: nothing has changed, its result stands", manifest.stem)
        return recorded["result"]
    manifest.unlink(missing_ok=True)
    result = work()
    write_json(manifest, {"stage": manifest.stem, "inputs": key, "result": result})
    return result


def read_manifest(manifest: Path) -> dict[str, Any] | None:
    """Return what a manifest holds, or None where there is none that can be read."""
    try:
        data = json.loads(manifest.read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError):
        return None
    return data if isinstance(data, dict) else None
