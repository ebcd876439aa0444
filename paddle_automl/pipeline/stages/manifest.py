"""Stages with a manifest: what is already true is not done again."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from paddle_automl.core.files import digest, write_json

logger = logging.getLogger(__name__)


def run_stage(
    folder: Path, name: str, inputs: Any, outputs: Sequence[Path], work: Callable[[], dict[str, Any]]
) -> dict[str, Any]:
    """Return the result of a stage: the recorded one where inputs are the same and outputs exist, else fresh.

    The manifest FOLDER/stages/NAME.json holds the hash of the inputs and the result; it is written after
    the work, so a stage that was killed is run again.
    """
    manifest = folder / "stages" / f"{name}.json"
    key = digest(inputs)
    recorded = _read(manifest)
    if recorded and recorded.get("inputs") == key and all(path.exists() for path in outputs):
        logger.debug("stage %s: nothing has changed, its result stands", name)
        result: dict[str, Any] = recorded["result"]
        return result
    manifest.unlink(missing_ok=True)
    result = work()
    write_json(manifest, {"stage": name, "inputs": key, "result": result})
    return result


def _read(manifest: Path) -> dict[str, Any] | None:
    try:
        data = json.loads(manifest.read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError):
        return None
    return data if isinstance(data, dict) else None
