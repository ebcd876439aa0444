"""The state after a search, and what has to be the same after a kill."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path
from typing import Any

from paddle_automl.core.errors import BundleError
from paddle_automl.core.files import sha256_of
from paddle_automl.deployment.bundle import Bundle
from paddle_automl.pipeline.runs.folder import RunFolder

SHARED_MEMORY = Path("/dev/shm")
_DETAILS = ("trial_params", "trial_values", "trial_intermediate_values", "trial_user_attributes")
_GROWS = ("trials", "logs")
"""Folders in which a killed search may leave more files than another one."""


def finished_trials(output: RunFolder) -> dict[str, Any]:
    """Return the rows of all finished trials, and the hashes of the files of those that have any, by number."""
    if not output.study.exists():
        return {}
    with contextlib.closing(sqlite3.connect(output.study, timeout=60)) as study:
        try:
            ended = study.execute(
                "SELECT * FROM trials WHERE state IN ('COMPLETE', 'PRUNED') ORDER BY trial_id"
            ).fetchall()
            rows = {row[0]: [list(map(str, row))] for row in ended}
            for table in _DETAILS:
                for row in study.execute(f"SELECT * FROM {table} ORDER BY 1"):
                    if row[1] in rows:
                        rows[row[1]].append([table, *map(str, row)])
        except sqlite3.OperationalError:
            # The search was killed before there were tables.
            return {}
    return {
        str(number): {"rows": found, "files": _hashes(output.trial(int(found[0][1])).path)}
        for number, found in rows.items()
    }


def _hashes(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): sha256_of(path) for path in files}


def weights_of(output: RunFolder) -> dict[str, str | None]:
    """Return the hashes of the weights of the refit and of the bundle."""
    files = {"refit": output.refit.weights, "bundle": output.bundle / "inference.pdiparams"}
    return {name: sha256_of(file) if file.exists() else None for name, file in files.items()}


def verified(output: RunFolder) -> bool:
    """Return whether there is a complete and verified bundle; every file is compared with its hash."""
    try:
        return output.bundle_file.exists() and Bundle.open(output.bundle).verified
    except BundleError:
        return False


def layout(output: RunFolder) -> set[str]:
    """Return the contents of the output folder, without names in which searches may differ."""
    found = set()
    for path in output.path.rglob("*"):
        inside = path.relative_to(output.path)
        if inside.parts[0] not in _GROWS or path.name.startswith("."):
            found.add(inside.as_posix())
    return found


def in_shared_memory() -> set[str]:
    """Return the names in shared memory that no living process has open."""
    if not SHARED_MEMORY.is_dir():
        return set()
    names = {str(path) for path in SHARED_MEMORY.iterdir()}
    return names - _open_files() if names else names


def _open_files() -> set[str]:
    found: set[str] = set()
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            found |= {word for line in (process / "maps").read_text().splitlines() for word in line.split()[5:6]}
            for link in list((process / "fd").iterdir()):
                with contextlib.suppress(OSError):
                    # The descriptor of the listing itself is closed again.
                    found.add(os.readlink(link))
    return found
