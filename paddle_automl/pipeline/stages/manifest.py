"""Manifests: stages whose inputs and results are unchanged are not run again."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from paddle_automl.core.files import digest, read_json_object, sha256_of, write_json

logger = logging.getLogger(__name__)


def run_once(
    manifest: Path,
    inputs: Any,
    is_intact: Callable[[Any], bool],
    work: Callable[[], Any],
    outputs: Callable[[], Iterable[Path]] = tuple,
) -> Any:
    """Return the recorded result if it was made from the same inputs and is still intact, else that of `work`.

    It is intact if `is_intact` says so and the files of `outputs` have the same content as then. The manifest holds
    the hash of the inputs, those of the files, and the result; it is written after the work, so work that was
    killed is done again. Until then the manifest holds the last result before as `former`.
    """
    key = digest(inputs)
    recorded = read_json_object(manifest)
    if recorded is not None and recorded.get("inputs") == key and "result" in recorded:
        result = recorded["result"]
        if is_intact(result) and _unchanged(recorded.get("files"), outputs()):
            logger.debug("%s: nothing has changed, its earlier result is used", manifest.stem)
            return result
    former = last_result(manifest)
    if former is None:
        manifest.unlink(missing_ok=True)
    else:
        write_json(manifest, {"stage": manifest.stem, "former": former})
    result = work()
    files = {os.path.relpath(file, manifest.parent): sha256_of(file) for file in outputs() if file.is_file()}
    write_json(manifest, {"stage": manifest.stem, "inputs": key, "files": files, "result": result})
    return result


def last_result(manifest: Path) -> Any:
    """Return the recorded result, None without one; after work that was killed, the result before."""
    recorded = read_json_object(manifest) or {}
    return recorded.get("result", recorded.get("former"))


def _unchanged(known: Any, files: Iterable[Path]) -> bool:
    """Return whether the files have the recorded content; manifests of earlier versions record none."""
    if not isinstance(known, dict):
        return True
    try:
        now = sorted(sha256_of(file) for file in files if file.is_file())
    except OSError:
        return False
    return now == sorted(map(str, known.values()))
