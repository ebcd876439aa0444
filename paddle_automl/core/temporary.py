"""One temporary folder for a command and all its child processes, which is deleted at the end."""

from __future__ import annotations

import logging
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.util import Finalize
from pathlib import Path

from paddle_automl.core.errors import OutputError
from paddle_automl.core.locking import LOCK, InUseError, Lock

log = logging.getLogger(__name__)

PREFIX = "paddle_automl-command-"
VARIABLE = "TMPDIR"
LONGEST = 48
"""Longest path of the system's temporary folder, in bytes: the paths of sockets in it must be below about 100."""
_AFTER_SOCKETS = -200
"""Priority of the deletion at exit: after multiprocessing has removed the folder of its sockets, at -100."""


@contextmanager
def own_temporary_folder() -> Iterator[None]:
    """Use one new folder for the temporary files of this process and of all its child processes.

    The folder is deleted when this process ends. If the process is killed, the next command deletes the folder.
    If the folder cannot be created, the system's temporary folder is used.
    """
    place = Path(tempfile.gettempdir())
    if os.name != "posix" or len(os.fsencode(place)) > LONGEST:
        yield
        return
    _delete_abandoned(place)
    try:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=place))
        lock = Lock(folder / LOCK, "a command")
    except (OSError, OutputError) as error:
        log.debug("no temporary folder of its own: %s", error)
        yield
        return
    before, known = os.environ.get(VARIABLE), tempfile.tempdir
    os.environ[VARIABLE] = tempfile.tempdir = str(folder)
    Finalize(None, _delete, args=(folder, lock), exitpriority=_AFTER_SOCKETS)
    try:
        yield
    finally:
        tempfile.tempdir = known
        if before is None:
            os.environ.pop(VARIABLE, None)
        else:
            os.environ[VARIABLE] = before


def _delete(folder: Path, lock: Lock) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    lock.release()


def _delete_abandoned(place: Path) -> None:
    """Delete the folders of this user's killed commands: those whose lock is free."""
    try:
        found = [entry for entry in os.scandir(place) if entry.name.startswith(PREFIX)]
    except OSError:
        return
    for entry in found:
        try:
            facts = os.lstat(entry.path)
            if (
                not stat.S_ISDIR(facts.st_mode)
                or facts.st_uid != os.getuid()
                or not os.path.exists(os.path.join(entry.path, LOCK))
            ):
                continue
            lock = Lock(Path(entry.path, LOCK), "deleting it")
        except InUseError:
            continue
        except (OSError, OutputError) as error:
            log.debug("%s: %s", entry.path, error)
            continue
        _delete(Path(entry.path), lock)
