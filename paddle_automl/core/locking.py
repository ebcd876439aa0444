"""File locks between processes: one process at a time holds the lock, and the file names that process.

The system releases a lock when its process ends, also after a kill. The file may remain: it is locked only while a
process holds it.
"""

from __future__ import annotations

import errno
import logging
import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from paddle_automl.core.errors import OutputError
from paddle_automl.core.files import reason_of

fcntl: Any
try:
    import fcntl
except ImportError:  # on Windows
    fcntl = None

log = logging.getLogger(__name__)

LOCK = ".paddle_automl.lock"
"""Name of the lock file in a folder that a command works in; a lock file beside a folder ends with it."""
_FAR = 1 << 30
"""Offset of the byte that is locked on Windows, where a locked byte cannot be read; it lies behind the text."""
_BUSY = {errno.EAGAIN, errno.EACCES, errno.EWOULDBLOCK, errno.EDEADLK}
_NONE_HERE = {errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK, errno.EINVAL}
_HOLDER = re.compile(r"[\x20-\x7e]{0,200}")


class InUseError(OutputError):
    """Another process holds the lock; `holder` describes it, or is "another process" if the file does not say."""

    def __init__(self, file: Path, holder: str) -> None:
        super().__init__(f"{file}: is locked by {holder}")
        self.holder = holder


class Lock:
    """A lock on a file, held from the start until `release`.

    `task` says what this process does; a process that does not get the lock shows it in its error message. Raises
    InUseError if the lock is held already, by another process or by this one, and OutputError if the file cannot be
    created.
    """

    def __init__(self, file: Path, task: str) -> None:
        self.file = file
        self._handle: int | None = _held(file)
        _say(self._handle, task)

    def moved_to(self, file: Path) -> None:
        """Set the new path of the lock file after its folder was renamed."""
        self.file = file

    def release(self, *, remove: bool = False) -> None:
        """Release the lock; with `remove` also delete its file."""
        if self._handle is None:
            return
        handle, self._handle = self._handle, None
        try:
            # Deleted while still locked: another process that has opened this file sees that it is gone (`_is_at`),
            # and creates a new one.
            if remove and _is_at(handle, self.file):
                self.file.unlink(missing_ok=True)
            else:
                os.ftruncate(handle, 0)
        except OSError as error:
            log.debug("%s: %s", self.file, error)
        finally:
            if fcntl is not None:
                # Closing the file is not enough: a forked child may have it open too, and would keep the lock.
                fcntl.flock(handle, fcntl.LOCK_UN)
            os.close(handle)


@contextmanager
def holding(file: Path, task: str, *, remove: bool = False) -> Iterator[Lock]:
    """Hold a `Lock` during the context."""
    lock = Lock(file, task)
    try:
        yield lock
    finally:
        lock.release(remove=remove)


def beside(folder: Path) -> Path:
    """Return the path of the lock file of a folder that is replaced as a whole: the file lies beside the folder."""
    return folder.with_name(f".{folder.name}{LOCK}")


def holder_of(file: Path) -> str | None:
    """Return a description of the process that holds the lock now, or None if it is free."""
    try:
        handle = os.open(file, os.O_RDWR | getattr(os, "O_CLOEXEC", 0))
    except OSError:
        return None
    try:
        if _lock(handle):
            if fcntl is not None:
                fcntl.flock(handle, fcntl.LOCK_UN)
            return None
        return _holder(handle)
    finally:
        os.close(handle)


def _held(file: Path) -> int:
    while True:
        try:
            handle = os.open(file, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o666)
        except OSError as error:
            raise OutputError(f"{file}: cannot be written: {reason_of(error)}") from None
        if not _lock(handle):
            holder = _holder(handle)
            os.close(handle)
            raise InUseError(file, holder)
        if _is_at(handle, file):
            return handle
        # The process that held the lock before deleted or renamed the file between the opening and the locking.
        os.close(handle)


def _lock(handle: int) -> bool:
    try:
        if fcntl is not None:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        else:
            import msvcrt

            os.lseek(handle, _FAR, os.SEEK_SET)
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined, unused-ignore]
    except OSError as error:
        if error.errno in _BUSY:
            return False
        if error.errno not in _NONE_HERE:
            raise
        log.warning(
            "this file system does not support locks (%s): do not run two commands in one folder at the same time",
            error.strerror,
        )
    return True


def _is_at(handle: int, file: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), os.stat(file))
    except OSError:
        return False


def _say(handle: int | None, task: str) -> None:
    text = f"{task}, process {os.getpid()} on {socket.gethostname()}, since {datetime.now():%Y-%m-%d %H:%M:%S}"
    try:
        assert handle is not None
        os.ftruncate(handle, 0)
        # Windows has no pwrite and no pread.
        os.lseek(handle, 0, os.SEEK_SET)
        os.write(handle, text.encode("ascii", "replace"))
    except OSError as error:
        # Without the text, as on a full disk, the lock still works.
        log.debug("%s", error)


def _holder(handle: int) -> str:
    os.lseek(handle, 0, os.SEEK_SET)
    text = os.read(handle, 300).decode("ascii", "replace")
    return text if text and _HOLDER.fullmatch(text) else "another process"
