"""Locks between processes: a file that one process at a time can hold, and that says who does.

A lock ends with its process, however that ends. Its file may stay behind; it locks nothing by itself.
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
"""Name of the lock inside a folder that somebody works in, and end of the name of one beside a folder."""
_FAR = 1 << 30
"""Byte that is locked on Windows: all others can still be read."""
_BUSY = {errno.EAGAIN, errno.EACCES, errno.EWOULDBLOCK, errno.EDEADLK}
_NONE_HERE = {errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK, errno.EINVAL}
_HOLDER = re.compile(r"[\x20-\x7e]{0,200}")


class InUseError(OutputError):
    """Another process holds a lock; `holder` says who, as far as it is known."""

    def __init__(self, file: Path, holder: str) -> None:
        super().__init__(f"{file}: is held by {holder}")
        self.holder = holder


class Lock:
    """A lock in a file; `task` is what its holder does, for the message of whoever is refused.

    Raises InUseError where another process, or another part of this one, holds it, and OutputError where the file
    cannot be made.
    """

    def __init__(self, file: Path, task: str) -> None:
        self.file = file
        self._handle: int | None = _held(file)
        _say(self._handle, task)

    def moved_to(self, file: Path) -> None:
        """Note that the file was renamed, with the folder around it, while it was held."""
        self.file = file

    def release(self, *, remove: bool = False) -> None:
        """Let others take it; with `remove` its file goes, too."""
        if self._handle is None:
            return
        handle, self._handle = self._handle, None
        try:
            # Before it is free: whoever opens the file now finds it gone, and makes a new one.
            if remove and _is_at(handle, self.file):
                self.file.unlink(missing_ok=True)
            else:
                os.ftruncate(handle, 0)
        except OSError as error:
            log.debug("%s: %s", self.file, error)
        finally:
            if fcntl is not None:
                # A forked child may have the same file open; closing it here alone would not free it.
                fcntl.flock(handle, fcntl.LOCK_UN)
            os.close(handle)


@contextmanager
def holding(file: Path, task: str, *, remove: bool = False) -> Iterator[Lock]:
    """Hold a lock for a while; see `Lock`."""
    lock = Lock(file, task)
    try:
        yield lock
    finally:
        lock.release(remove=remove)


def beside(folder: Path) -> Path:
    """Return the lock of a folder that is replaced as a whole: it lies beside the folder."""
    return folder.with_name(f".{folder.name}{LOCK}")


def holder_of(file: Path) -> str | None:
    """Return who holds a lock at this moment, or None where nobody does."""
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
        # Its last holder removed or renamed it between the two calls.
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
        log.warning("this file system has no locks (%s): see to it that one command works here", error.strerror)
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
        os.pwrite(handle, text.encode("ascii", "replace"), 0)
    except OSError as error:
        # On a full disk the lock holds all the same.
        log.debug("%s", error)


def _holder(handle: int) -> str:
    text = os.pread(handle, 300, 0).decode("ascii", "replace")
    return text if text and _HOLDER.fullmatch(text) else "another process"
