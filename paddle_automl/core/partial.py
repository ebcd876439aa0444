"""What is being written, and what killed writers left of it: files and folders beside those that they will replace.

Both begin with a dot and have `PARTIAL` in their names.
"""

from __future__ import annotations

import os
import shutil
import time
from contextlib import suppress
from pathlib import Path

PARTIAL = ".partial-"
"""Part of the name of every file and folder that is being written."""
_STALE_S = 5.0
"""How long ago a file that is still being written was written to last, at most."""


def prefix_of(name: str) -> str:
    """Return how the folder begins that is to take the place of the folder called `name`."""
    return f".{name}{PARTIAL}"


def delete_partial_files(folder: Path) -> None:
    """Delete the temporary files that killed writers have left in a folder and those below it."""
    for place, _, names in os.walk(folder):
        for name in names:
            if _is_partial(name):
                file = Path(place, name)
                with suppress(OSError):
                    if time.time() - file.lstat().st_mtime > _STALE_S:
                        file.unlink()


def delete_partial_folders(parent: Path, name: str | None = None) -> None:
    """Delete what killed writers of the folder `name`, or of any folder, in `parent` have left behind.

    Whoever calls it has made sure that nobody writes them now: a writer may be silent for long.
    """
    try:
        entries = list(os.scandir(parent))
    except OSError:
        return
    for entry in entries:
        wanted = name is None or entry.name.startswith(prefix_of(name))
        if wanted and _is_partial(entry.name) and entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path, ignore_errors=True)


def _is_partial(name: str) -> bool:
    return name.startswith(".") and PARTIAL in name
