"""Locks between processes."""

import os
import signal
import subprocess
import sys
from types import SimpleNamespace

import pytest

from paddle_automl.core import locking
from paddle_automl.core.errors import OutputError
from paddle_automl.core.locking import LOCK, InUseError, Lock, beside, holder_of, holding

HOLD = """
import sys, time
from pathlib import Path
from paddle_automl.core.locking import Lock
Lock(Path(sys.argv[1]), "a search")
print("held", flush=True)
time.sleep(60)
"""


def test_one_at_a_time_and_the_other_hears_who(tmp_path):
    file = tmp_path / LOCK
    assert holder_of(file) is None
    with holding(file, "a training"):
        with (
            pytest.raises(InUseError, match=f"a training, process {os.getpid()} on ") as refused,
            holding(file, "x"),
        ):
            pass
        assert holder_of(file) == refused.value.holder
    assert holder_of(file) is None
    with holding(file, "again"):
        pass


def test_one_at_a_time_with_the_functions_that_windows_has(tmp_path, monkeypatch):
    fcntl = pytest.importorskip("fcntl", reason="it locks in place of Windows")

    def lock_bytes(handle, mode, count):
        # Windows locks bytes from the file's position on, and nobody can read locked bytes.
        assert (os.lseek(handle, 0, os.SEEK_CUR), mode, count) == (locking._FAR, "at once", 1)
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)

    monkeypatch.setitem(sys.modules, "msvcrt", SimpleNamespace(locking=lock_bytes, LK_NBLCK="at once"))
    monkeypatch.setattr(locking, "fcntl", None)
    for name in ("pread", "pwrite"):
        monkeypatch.delattr(os, name)
    test_one_at_a_time_and_the_other_hears_who(tmp_path)


def test_a_lock_ends_with_its_process(tmp_path):
    file = tmp_path / LOCK
    with subprocess.Popen([sys.executable, "-c", HOLD, str(file)], stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        assert holder_of(file).startswith(f"a search, process {process.pid} on ")
        process.send_signal(signal.SIGKILL)
        process.wait()
    Lock(file, "next").release(remove=True)
    assert not file.exists()


def test_a_file_that_was_moved_away_locks_no_more_in_its_old_place(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    lock = Lock(folder / LOCK, "old")
    folder.rename(tmp_path / "aside")
    folder.mkdir()
    new = Lock(folder / LOCK, "new")
    lock.release(remove=True)
    assert holder_of(folder / LOCK).startswith("new")
    assert (tmp_path / "aside" / LOCK).exists()
    new.release()


def test_whatever_stands_in_a_lock_is_told_as_plain_text(tmp_path):
    file = tmp_path / LOCK
    lock = Lock(file, "x")
    file.write_bytes(b"\x1b[31m" + b"y" * 5000)
    assert holder_of(file) == "another process"
    lock.release()


def test_a_place_that_cannot_be_written_is_an_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be written: Not a directory"):
        Lock(tmp_path / "file" / LOCK, "x")


def test_a_folder_that_is_replaced_has_its_lock_beside_it(tmp_path):
    assert beside(tmp_path / "bundle").parent == tmp_path
