"""The folder that a command writes its results to: one command at a time works there, and nothing in it is lost."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from paddle_automl.core.display_text import shown
from paddle_automl.core.errors import OutputError
from paddle_automl.core.files import make_output_folder
from paddle_automl.core.locking import LOCK, InUseError, Lock, beside, holder_of
from paddle_automl.core.partial import delete_partial_folders, prefix_of
from paddle_automl.core.paths import readable
from paddle_automl.pipeline.runs.folder import RunFolder

BESIDE_RESULTS = frozenset({LOCK, "cache", "logs", "visualdl", "train.log"})
"""Files that may be in a folder without results, as after a failed command; a folder with only these is empty."""


class LockedFolder:
    """A folder of results that is locked for this process until `close`.

    A missing folder is created. Raises OutputError if another command works in it, or if it cannot be written.
    `task` says what this command does; another command that needs the folder shows it in its error message.
    """

    def __init__(self, path: Path, task: str) -> None:
        self.folder = RunFolder(path)
        self._task = task
        self._made = _missing(path)
        try:
            make_output_folder(path)
            self._lock = self._locked()
        except OutputError:
            self._delete_made()
            raise
        delete_partial_folders(self._real)
        delete_partial_folders(self._real.parent, self._real.name)

    @property
    def _real(self) -> Path:
        """The real path of the folder, with links resolved."""
        return Path(os.path.realpath(self.folder.path))

    def _locked(self) -> Lock:
        path = self.folder.path
        try:
            lock = Lock(self._real / LOCK, self._task)
        except InUseError as error:
            raise in_use(path, error.holder) from None
        # An export replaces a folder as a whole, so its lock file lies beside the folder.
        holder = holder_of(beside(self._real))
        if holder is not None:
            lock.release()
            raise in_use(path, holder)
        return lock

    def close(self) -> None:
        """Release the lock; delete folders that this command created and left empty."""
        entries = set(os.listdir(self._real)) if self._real.is_dir() else set()
        # A folder without results, but with other files, keeps the lock file, which marks it as a command's output.
        self._lock.release(remove=not entries <= BESIDE_RESULTS or entries == {LOCK})
        self._delete_made()

    def __enter__(self) -> LockedFolder:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _delete_made(self) -> None:
        for path in self._made:
            with suppress(OSError):
                path.rmdir()

    # -- existing content ------------------------------------------------------------------------------------------
    @property
    def is_empty(self) -> bool:
        """Whether the folder holds no results: nothing but files of `BESIDE_RESULTS`."""
        return set(os.listdir(self._real)) <= BESIDE_RESULTS

    def refuse_strangers(self, expected: Iterable[Path], what: str) -> None:
        """Raise OutputError if the folder holds files but none of the `expected` ones: it is not a `what`."""
        if self.is_empty or any(path.exists() for path in expected):
            return
        raise OutputError(
            f"output: '{shown(self.folder.path)}' holds files, but no {what}; set another folder with "
            "-o output=PATH, or rename the old one with --fresh"
        )

    # -- renaming --------------------------------------------------------------------------------------------------
    def check_movable(self, needed: Iterable[str | Path]) -> None:
        """Raise OutputError if the folder cannot be renamed: it is a mount point, or a `needed` path lies in it."""
        real = self._real
        if os.path.ismount(real):
            raise OutputError(
                f"output: '{shown(self.folder.path)}' is a mount point, so it cannot be renamed; "
                "set another folder with -o output=PATH"
            )
        for path in needed:
            place = Path(os.path.realpath(path))
            if place == real or real in place.parents:
                raise OutputError(
                    f"output: '{shown(self.folder.path)}' holds '{shown(readable(path))}', which this command "
                    "needs, so it cannot be renamed; set another folder with -o output=PATH"
                )

    @contextmanager
    def successor(self) -> Iterator[Path]:
        """Provide a folder beside this one, deleted at the end unless `take_over` or `keep_beside` moves it."""
        real = self._real
        try:
            scratch = Path(tempfile.mkdtemp(prefix=prefix_of(real.name), dir=real.parent))
            scratch.chmod(real.stat().st_mode & 0o7777)
        except OSError as error:
            raise self._immovable(error) from None
        try:
            yield scratch
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def put_aside(self) -> Path | None:
        """Rename the folder, and create an empty one with its name; return the new path of the old folder.

        None if the folder holds no results. The cache moves to the new folder. Raises OutputError if the folder
        cannot be renamed, or if a command works in a folder inside it.
        """
        if self.is_empty:
            return None
        with self.successor() as scratch:
            return self.take_over(scratch)

    def keep_beside(self, scratch: Path) -> Path:
        """Rename an unfinished `successor` so that it is kept beside the folder; return its path."""
        kept = _free_name(self._real, "-unfinished")
        os.rename(scratch, kept)
        return self._as_given(kept)

    def take_over(self, scratch: Path) -> Path:
        """Rename this folder, and give its name to its `successor`; return the new path of the old folder."""
        real = self._real
        _refuse_work_below(self.folder.path, real)
        aside = _free_name(real)
        lock = Lock(scratch / LOCK, self._task)
        try:
            os.rename(real, aside)
            try:
                os.rename(scratch, real)
            except OSError:
                os.rename(aside, real)
                raise
        except OSError as error:
            lock.release()
            raise self._immovable(error) from None
        old, self._lock = self._lock, lock
        lock.moved_to(real / LOCK)
        old.moved_to(aside / LOCK)
        old.release(remove=True)
        # The cache of decoded items is only useful to the new work.
        with suppress(OSError):
            os.rename(RunFolder(aside).cache, self.folder.cache)
        return self._as_given(aside)

    def _as_given(self, path: Path) -> Path:
        """Return a path beside the folder as the user wrote the folder: relative if that was relative."""
        given = self.folder.path
        return path if given.is_symlink() else given.with_name(path.name)

    def _immovable(self, error: OSError) -> OutputError:
        return OutputError(
            f"output: cannot rename '{shown(self.folder.path)}' to keep its content: {error.strerror}; set another "
            "folder with -o output=PATH"
        )


@contextmanager
def place_of_bundle(target: Path, task: str) -> Iterator[None]:
    """Lock the folder of a bundle while it is written; for a bundle inside a run's folder, lock that folder."""
    run = RunFolder(target.parent)
    if target in (run.bundle, run.compressed.path) and run.config.is_file():
        with LockedFolder(run.path, task):
            yield
        return
    real = Path(os.path.realpath(target))
    try:
        real.parent.mkdir(parents=True, exist_ok=True)
        lock = Lock(beside(real), task)
    except InUseError as error:
        raise in_use(target, error.holder) from None
    except OSError as error:
        raise OutputError(f"'{shown(target)}': cannot be created: {error.strerror}") from None
    try:
        holder = holder_of(real / LOCK)
        if holder is not None:
            raise in_use(target, holder)
        yield
    finally:
        lock.release(remove=True)


def in_use(path: Path, holder: str) -> OutputError:
    """Return the error for a folder in which another command works."""
    return OutputError(
        f"'{shown(path)}': another command works in this folder ({holder}); wait for it, or use another folder"
    )


def _refuse_work_below(path: Path, real: Path) -> None:
    """Raise OutputError if a command works in a folder inside, which would be renamed with this one."""
    for file in real.rglob(f"*{LOCK}"):
        holder = holder_of(file) if file != real / LOCK else None
        if holder is not None:
            raise in_use(file.parent, holder)
    # A search of an earlier version, or another program that writes the study, locks only the study's file.
    study = RunFolder(real).study
    if holder_of(study.with_name(f"{study.name}.lock")) is not None:
        raise in_use(path, "a program that writes its study")


def _free_name(path: Path, end: str = "") -> Path:
    name = f"{path.name}.{datetime.now():%Y%m%d-%H%M%S}{end}"
    found, number = path.with_name(name), 1
    while os.path.lexists(found):
        number += 1
        found = path.with_name(f"{name}-{number}")
    return found


def _missing(path: Path) -> list[Path]:
    """Return the folders that must be created for `path`, the innermost first."""
    absolute = Path(os.path.realpath(path))
    found = [absolute, *absolute.parents]
    return [folder for folder in found if not folder.exists()]
