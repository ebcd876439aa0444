"""What happens when the coordinator's process is killed or interrupted: real processes, real signals."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.unit.search import jobs
from tests.unit.search.helpers import open_study

ROOT = Path(__file__).parents[3]


def start(folder, trials, sleep):
    command = [sys.executable, "-m", "tests.unit.search.killed_search", str(folder), str(trials), str(sleep)]
    # A group of its own, as a shell gives it, so that Ctrl-C can be sent to all of it.
    return subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def wait_for_pids(folder, count):
    end = time.monotonic() + 30
    while time.monotonic() < end:
        if (folder / "pids").exists():
            pids = [int(line) for line in (folder / "pids").read_text().splitlines()]
            if len(pids) >= count:
                return pids
        time.sleep(0.02)
    raise AssertionError("no jobs were started")


def of_session(session):
    found = []
    for pid in psutil.pids():
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if os.getsid(pid) == session:
                found.append(pid)
    return found


@pytest.mark.parametrize("how", ["kill -9", "ctrl-c"])
def test_killed_in_the_middle_and_continued(tmp_path, how):
    search = start(tmp_path, trials=6, sleep=0.2)
    pids = wait_for_pids(tmp_path, 4)  # two trials are done, the next two run
    if how == "kill -9":
        os.kill(search.pid, signal.SIGKILL)
    else:
        os.killpg(search.pid, signal.SIGINT)
    out, err = search.communicate(timeout=20)
    assert (out, err) == ("" if how == "kill -9" else "interrupted\n", "")
    assert all(jobs.gone(pid, within_s=20) for pid in pids)
    # The fork server and its helper end too.
    assert all(jobs.gone(pid, within_s=20) for pid in of_session(search.pid))

    with open_study(tmp_path) as study:
        before = study.records()
    finished = [record for record in before if record.finished]
    interrupted = [record for record in before if record.reason == "interrupted"]
    assert finished
    assert interrupted
    assert len(finished) + len(interrupted) == len(before)

    out, err = start(tmp_path, trials=6, sleep=0.0).communicate(timeout=60)
    assert (out, err) == ("trials\n", "")
    with open_study(tmp_path) as study:
        after = study.records()
    assert after[: len(before)] == before
    again = after[len(before) : len(before) + len(interrupted)]
    assert [record.params for record in again] == [record.params for record in interrupted]
    assert sum(record.state == "complete" for record in after) == 6


@pytest.mark.skipif(sys.platform == "win32", reason="needs signals of pipes")
def test_a_worker_stuck_in_native_code_dies_with_the_search(tmp_path):
    """No thread of such a process runs, so it cannot see by itself that the search is gone."""
    search = start(tmp_path, trials=2, sleep=-1)
    pids = wait_for_pids(tmp_path, 2)
    time.sleep(0.5)
    os.kill(search.pid, signal.SIGKILL)
    gone = [jobs.gone(pid, within_s=20) for pid in pids]
    for pid, ended in zip(pids, gone, strict=True):
        if not ended:
            os.kill(pid, signal.SIGKILL)
    search.communicate(timeout=20)
    assert gone == [True, True]
