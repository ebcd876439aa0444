"""Writing a folder so that it survives a kill: it is the old one or the new one, never half-written."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from paddle_automl.core.errors import OutputError
from paddle_automl.core.partial import delete_partial_folders, prefix_of
from paddle_automl.core.paths import readable


@contextmanager
def replacing_folder(folder: str | Path, *, marker: str) -> Iterator[Path]:
    """Yield an empty folder next to `folder`; on success it replaces `folder`.

    A link is followed: the folder that it names is replaced, and the link stays. An existing folder is replaced
    only if it is empty or contains the file `marker`; otherwise, and if the system refuses, raises OutputError. One
    process at a time may write a folder: what earlier, killed writers left behind is removed once the new folder is
    in place.
    """
    target = Path(os.path.realpath(folder))
    if target.exists() and not _replaceable(target, marker):
        raise OutputError(
            f"'{readable(folder)}' exists and is not an earlier result (it has no {marker}): it is not replaced; "
            "move it away, or choose another folder"
        )
    prefix = prefix_of(target.name)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=prefix, dir=target.parent))
        # mkdtemp makes folders private; results should be as readable as any other folder of the user.
        scratch.chmod(0o777 & ~_umask())
    except OSError as error:
        raise OutputError(
            f"cannot write beside '{readable(folder)}': {error.strerror}; choose another output folder"
        ) from None
    try:
        yield scratch
        _swap(scratch, target, prefix)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    delete_partial_folders(target.parent, target.name)


def _replaceable(target: Path, marker: str) -> bool:
    return target.is_dir() and ((target / marker).is_file() or not any(target.iterdir()))


def _swap(scratch: Path, target: Path, prefix: str) -> None:
    if not target.exists():
        os.rename(scratch, target)
        return
    old = Path(tempfile.mkdtemp(prefix=prefix, dir=target.parent)) / "old"
    try:
        os.rename(target, old)
        os.rename(scratch, target)
    except BaseException:
        # A signal can arrive between the two, too.
        if old.exists() and not target.exists():
            os.rename(old, target)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
