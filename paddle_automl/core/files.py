"""Files: reading untrusted ones within limits, writing that survives a kill, hashes of data.

A written file is either the complete old one or the complete new one. Devices and pipes are written to directly.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from paddle_automl.core.errors import OutputError
from paddle_automl.core.partial import PARTIAL

_MOST_LINKS = 40
_LONGEST_STEM = 40
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT}
_TRIED_BYTES = 1 << 16
_LARGEST_JSON = 64 << 20
"""Most bytes of a JSON file that is read: a changed one must not fill the memory."""


def open_regular(path: str | Path) -> BinaryIO:
    """Open a regular file, or a link to one, for reading; anything else raises OSError.

    A pipe or a device with the name of a file would block the reader, or never end.
    """
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise OSError(errno.EINVAL, "is not a regular file", str(path))
    # Without blocking, and checked again: a pipe may have replaced the file meanwhile.
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "is not a regular file", str(path))
    return io.BufferedReader(io.FileIO(handle))


@contextmanager
def replacing(path: str | Path, *, durable: bool = True) -> Iterator[Path]:
    """Yield a temporary path next to `path`; on success it replaces `path` in one step.

    A link is followed: the file that it names is replaced, and keeps its mode. A device, a pipe or a socket is
    written to directly, as by ``open(path, "w")``. With `durable` the content is flushed to the disk before the
    replacement, so that a loss of power leaves the old file or the new one. Raises OutputError with the system's
    reason if the file cannot be written.
    """
    temporary: Path | None = None
    try:
        target = _target(Path(path))
        folder = Path(tempfile.gettempdir()) if target is None else target.parent
        folder.mkdir(parents=True, exist_ok=True)
        temporary = _new_file(folder, Path(path) if target is None else target)
        yield temporary
        if target is None:
            with open(temporary, "rb") as source, open(path, "wb") as sink:
                shutil.copyfileobj(source, sink)
            return
        _take_over_mode(temporary, target)
        if durable:
            _flush_to_disk(temporary)
        os.replace(temporary, target)
        if durable:
            _flush_to_disk(target.parent)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {reason_of(error)}") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def _target(path: Path) -> Path | None:
    """Return the file behind all links of `path`, or None for a target that has to be written to directly."""
    for _ in range(_MOST_LINKS):
        try:
            if not stat.S_ISREG(os.stat(path).st_mode) and not path.is_dir():
                return None
        except FileNotFoundError:
            # A link to nothing names the file that will be created.
            pass
        if path.parent.as_posix() in ("/dev", "/dev/fd") or path.as_posix().startswith("/proc/"):
            # An open stream of this process, perhaps a regular file that somebody else has open as well.
            return None
        if not path.is_symlink():
            return path
        path = path.parent / os.readlink(path)
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))


def _new_file(folder: Path, like: Path) -> Path:
    # Created with the user's umask: results should be as readable as any other file of the user.
    while True:
        name = f".{like.stem[:_LONGEST_STEM]}{PARTIAL}{secrets.token_hex(4)}{like.suffix[:_LONGEST_STEM]}"
        try:
            os.close(os.open(folder / name, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        except FileExistsError:
            continue
        return folder / name


def _take_over_mode(temporary: Path, target: Path) -> None:
    """Give the new file the mode of the one it replaces and, as root, its owner where the system allows it."""
    if not target.is_file():
        return
    old, new = target.stat(), temporary.stat()
    if stat.S_IMODE(old.st_mode) != stat.S_IMODE(new.st_mode):
        os.chmod(temporary, stat.S_IMODE(old.st_mode))
    if (old.st_uid, old.st_gid) != (new.st_uid, new.st_gid) and getattr(os, "geteuid", lambda: 1)() == 0:
        # Refused in containers without CAP_CHOWN or without that owner; the content is worth more than its owner.
        with suppress(OSError):
            os.chown(temporary, old.st_uid, old.st_gid)


def _flush_to_disk(path: Path) -> None:
    """Have the system write a file, or the names in a folder, to the disk."""
    if path.is_dir() and os.name == "nt":
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        # Some file systems have no fsync (of folders).
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):
            raise
    finally:
        os.close(handle)


def reason_of(error: OSError) -> str:
    """Return the system's reason for a failed write, and what to do if the disk is full."""
    reason = error.strerror or str(error)
    if error.errno in _NO_ROOM:
        return f"{reason}; make room and run the same command again"
    return reason


def write_text(path: str | Path, text: str) -> None:
    """Write a UTF-8 text file in one step."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: str | Path, data: Any) -> None:
    """Write `data` as indented UTF-8 JSON in one step."""
    write_text(path, json.dumps(data, indent=2, ensure_ascii=False) + "\n")


def append_json_line(path: str | Path, record: Mapping[str, Any]) -> None:
    """Append one record to a JSON-lines file and hand it to the operating system at once.

    Raises OutputError with the system's reason if it cannot be written.
    """
    try:
        with open(path, "a", encoding="utf-8") as file:
            file.write(json.dumps(record, ensure_ascii=False) + "\n")
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {reason_of(error)}") from error


def read_json_lines(path: str | Path) -> list[dict[str, Any]]:
    """Return the records of a JSON-lines file; a last line cut off by a kill is left out."""
    records = []
    # Split as bytes: a kill may cut a character in two, and a text may contain other line separators.
    for line in Path(path).read_bytes().split(b"\n"):
        try:
            record = json.loads(line.decode("utf-8"))
        except ValueError:
            break
        if not isinstance(record, dict):
            break
        records.append(record)
    return records


def read_json_object(path: str | Path) -> dict[str, Any] | None:
    """Return the object in a JSON file of a sensible size; None if there is none that can be read."""
    try:
        with open_regular(path) as file:
            data = json.loads(file.read(_LARGEST_JSON))
    except (OSError, ValueError, RecursionError):
        return None
    return data if isinstance(data, dict) else None


def make_output_folder(path: str | Path) -> Path:
    """Create the folder and check that it can be written to; raises OutputError with the system's reason."""
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, prefix=f".writable{PARTIAL}") as file:
            # On a full disk empty files can still be created; only content shows that there is room.
            file.write(bytes(_TRIED_BYTES))
            file.flush()
    except OSError as error:
        raise OutputError(
            f"output: cannot write to '{folder}': {reason_of(error)}; set another folder with -o output=PATH"
        ) from None
    return folder


def sha256_of(path: str | Path) -> str:
    """Return the SHA-256 of a file's content in hexadecimal; raises OSError."""
    found = hashlib.sha256()
    with open_regular(path) as file:
        while block := file.read(1 << 20):
            found.update(block)
    return found.hexdigest()


def digest(value: Any) -> str:
    """Return a short hash of a JSON-like value."""
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:16]
