"""The temporary folder of a command and all its processes, which a kill does not leave behind for ever.

Nothing can clean up after ``kill -9`` but the next command: each command holds a lock on the folder that it made,
which the system releases when it ends in whatever way, and deletes those that nobody holds.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.util import Finalize
from pathlib import Path
from typing import Any

from paddle_automl.core.errors import OutputError
from paddle_automl.core.files import reason_of

try:
    import fcntl
except ImportError:  # Windows: temporary folders are made in the system's, as those of any program.
    fcntl = None  # type: ignore[assignment]

PREFIX = "automl-"
"""Short: the names of sockets in it must not become longer than the system takes."""
LOCK, _NEW_LOCK = "paddle_automl.lock", "paddle_automl.new"
_UNLOCKED_S = 60.0
"""After which a folder without a lock is none that is just being made."""
_ATTEMPTS = 3
_made: dict[int, tuple[Path, int]] = {}
"""The folder of this process, by its number (a forked process makes its own), and the open lock."""


def scratch_home() -> Path:
    """Return this process's folder for temporary files; it is made at the first call and deleted at exit.

    Those of killed commands are deleted when it is made. Raises OutputError where it cannot be made.
    """
    known = _made.get(os.getpid())
    if known is not None and known[0].is_dir():
        return known[0]
    try:
        if fcntl is None:
            return Path(tempfile.gettempdir())
        delete_abandoned(Path(tempfile.gettempdir()))
        made = _make()
    except OSError as error:
        raise OutputError(
            f"no temporary folder can be made: {reason_of(error)}; set TMPDIR to a folder that can be written"
        ) from error
    _made.clear()
    _made[os.getpid()] = made
    # After multiprocessing has deleted its own folder, which is in this one (its priority is -100).
    Finalize(None, _delete, args=(os.getpid(),), exitpriority=-200)
    return made[0]


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Yield a temporary folder that is deleted at the end of the block, after a kill by the next command."""
    with tempfile.TemporaryDirectory(dir=scratch_home(), ignore_cleanup_errors=True) as name:
        yield Path(name)


@contextmanager
def for_processes() -> Iterator[None]:
    """Have processes that are started in the block, and theirs, put their temporary files into `scratch_home`."""
    home = str(scratch_home())
    variable, chosen = os.environ.get("TMPDIR"), tempfile.tempdir
    os.environ["TMPDIR"] = tempfile.tempdir = home
    try:
        yield
    finally:
        tempfile.tempdir = chosen
        if variable is None:
            del os.environ["TMPDIR"]
        else:
            os.environ["TMPDIR"] = variable


def delete_abandoned(parent: Path) -> None:
    """Delete the temporary folders in `parent` that killed commands of this user have left behind."""
    with contextlib.suppress(OSError):
        for entry in list(os.scandir(parent)):
            if entry.name.startswith(PREFIX) and _is_ours(entry.path):
                _delete_unless_held(Path(entry.path))


def _is_ours(path: str) -> bool:
    try:
        found = os.lstat(path)
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()


def _delete_unless_held(folder: Path) -> None:
    try:
        handle = os.open(folder / LOCK, os.O_RDWR | os.O_NOFOLLOW)
    except OSError:
        # Not even locked when its command was killed, or of another program: only what is empty is taken away.
        with contextlib.suppress(OSError):
            if time.time() - folder.stat().st_mtime > _UNLOCKED_S:
                (folder / _NEW_LOCK).unlink(missing_ok=True)
                folder.rmdir()
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
    except OSError:
        # Its command runs.
        return
    finally:
        os.close(handle)


def _make() -> tuple[Path, int]:
    for attempt in range(_ATTEMPTS):
        folder = Path(tempfile.mkdtemp(prefix=PREFIX))
        try:
            # Locked before it has its name: whoever finds the lock finds it held.
            handle = os.open(folder / _NEW_LOCK, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
            fcntl.flock(handle, fcntl.LOCK_EX)
            os.rename(folder / _NEW_LOCK, folder / LOCK)
            return folder, handle
        except FileNotFoundError:
            # On a machine that stood still for a minute another command took the new folder for an old one.
            if attempt == _ATTEMPTS - 1:
                raise
    raise AssertionError("the loop returns or raises")


def _delete(process: int) -> None:
    known: Any = _made.pop(process, None) if process == os.getpid() else None
    if known is not None:
        folder, handle = known
        shutil.rmtree(folder, ignore_errors=True)
        os.close(handle)
