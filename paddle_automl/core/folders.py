"""Writing a folder that survives a kill: it is the old one or the new one, never half of one."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from paddle_automl.core.errors import OutputError
from paddle_automl.core.paths import readable


@contextmanager
def replacing_folder(folder: str | Path, *, marker: str) -> Iterator[Path]:
    """Give an empty folder beside `folder`; on success it takes that one's place.

    A folder already there is only replaced when it is empty or holds the file `marker`; otherwise, and
    where the system refuses, OutputError. One process at a time may write a folder: what earlier, killed
    writers of it left behind is removed once the new folder stands.
    """
    target = Path(os.path.abspath(folder))
    if target.exists() and not _replaceable(target, marker):
        raise OutputError(
            f"'{readable(folder)}' exists and is not what would be replaced (it has no {marker}); "
            "choose another folder"
        )
    prefix = f".{target.name}.partial-"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=prefix, dir=target.parent))
        # mkdtemp makes folders private; results are to be readable as any other folder the user makes.
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
    for leftover in target.parent.iterdir():
        if leftover.name.startswith(prefix):
            shutil.rmtree(leftover, ignore_errors=True)


def _replaceable(target: Path, marker: str) -> bool:
    return target.is_dir() and ((target / marker).is_file() or not any(target.iterdir()))


def _swap(scratch: Path, target: Path, prefix: str) -> None:
    if not target.exists():
        os.rename(scratch, target)
        return
    old = Path(tempfile.mkdtemp(prefix=prefix, dir=target.parent)) / "old"
    os.rename(target, old)
    try:
        os.rename(scratch, target)
    except OSError:
        os.rename(old, target)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
