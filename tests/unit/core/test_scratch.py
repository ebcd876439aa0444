"""Temporary folders: one per command, gone at its end, after a kill at the next command."""

import os
import signal
import subprocess
import sys
import time

import pytest

from paddle_automl.core import scratch

pytestmark = pytest.mark.skipif(scratch.fcntl is None, reason="locks of POSIX systems")
HOLD = """
import sys, tempfile, subprocess
from paddle_automl.core.scratch import for_processes, scratch_home
home = scratch_home()
assert scratch_home() == home
with for_processes():
    ask = [sys.executable, "-c", "import tempfile; print(tempfile.mkdtemp())"]
    made = subprocess.run(ask, capture_output=True, text=True, check=True).stdout.strip()
assert tempfile.gettempdir() != str(home)
print(home, made, flush=True)
sys.stdin.read(1)
"""


def start(folder):
    return subprocess.Popen(
        [sys.executable, "-c", HOLD],
        env={**os.environ, "TMPDIR": str(folder)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_it_is_gone_at_the_end_with_all_that_processes_left_in_it(tmp_path):
    with start(tmp_path) as process:
        home, made = process.stdout.readline().split()
        assert made.startswith(home + os.sep)
        assert os.path.isdir(made)
        process.communicate("x")
    assert process.returncode == 0
    assert list(tmp_path.iterdir()) == []


def test_that_of_a_killed_command_is_deleted_by_the_next_and_that_of_a_running_one_is_not(tmp_path):
    with start(tmp_path) as running:
        kept = running.stdout.readline().split()[0]
        with start(tmp_path) as killed:
            left = killed.stdout.readline().split()[0]
            os.kill(killed.pid, signal.SIGKILL)
        assert os.path.isdir(left)
        scratch.delete_abandoned(tmp_path)
        assert [str(path) for path in tmp_path.iterdir()] == [kept]
        running.communicate("x")
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_ours_stays(tmp_path):
    for name in ("automl-notes", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("x")
    (tmp_path / "automl-link").symlink_to(tmp_path / "other")
    (tmp_path / "other" / scratch.LOCK).touch()
    (tmp_path / "automl-new").mkdir()
    scratch.delete_abandoned(tmp_path)
    assert len(list(tmp_path.iterdir())) == 4
    long_ago = time.time() - 3600
    for name in ("automl-notes", "automl-new"):
        os.utime(tmp_path / name, (long_ago, long_ago))
    scratch.delete_abandoned(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["automl-link", "automl-notes", "other"]


def test_a_temporary_folder_of_a_block(tmp_path):
    with scratch.scratch_folder() as folder:
        assert folder.parent == scratch.scratch_home()
        (folder / "file").write_text("x")
    assert not folder.exists()
