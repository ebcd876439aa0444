"""A command and its processes leave nothing in the system's temporary folder."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from paddle_automl.core.temporary import LONGEST, PREFIX

CODE = """
import multiprocessing, os, signal, subprocess, sys, tempfile
from multiprocessing import util
from paddle_automl.core.temporary import own_temporary_folder

def work():
    tempfile.mkdtemp()
    os.kill(os.getpid(), signal.SIGKILL)

if __name__ == "__main__":
    with own_temporary_folder():
        util.get_temp_dir()
        process = multiprocessing.get_context("forkserver").Process(target=work)
        process.start()
        process.join()
        subprocess.run([sys.executable, "-c", "import tempfile; tempfile.mkdtemp()"])
        print(tempfile.gettempdir(), flush=True)
        if "kill" in sys.argv:
            os.kill(os.getpid(), signal.SIGKILL)
    print(tempfile.gettempdir())
"""


def command(place: Path, *words: str) -> list[str]:
    file = place.parent / "command.py"
    file.write_text(CODE, encoding="utf-8")
    run = subprocess.run(
        [sys.executable, str(file), *words],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "TMPDIR": str(place)},
        timeout=60,
    )
    assert run.returncode == (-signal.SIGKILL if "kill" in words else 0), run.stderr
    assert "Traceback" not in run.stderr
    return run.stdout.split()


@pytest.fixture
def place(tmp_path):
    import tempfile

    with tempfile.TemporaryDirectory(dir="/tmp") as short:
        folder = Path(short) / "t"
        folder.mkdir()
        yield folder


def test_all_that_was_written_is_gone_at_the_end(place):
    own, after = command(place)
    assert Path(own).parent == place
    assert Path(own).name.startswith(PREFIX)
    assert after == str(place)
    assert list(place.iterdir()) == []


def test_what_a_killed_command_left_the_next_one_deletes(place):
    (own,) = command(place, "kill")
    assert Path(own).is_dir()
    strange = place / f"{PREFIX}notes.txt"
    strange.touch()
    foreign = place / f"{PREFIX}folder"
    foreign.mkdir()
    command(place)
    assert sorted(place.iterdir()) == [foreign, strange]


def test_in_a_place_with_a_long_name_all_is_as_it_was(tmp_path):
    place = tmp_path / ("x" * LONGEST)
    place.mkdir()
    code = (
        "import tempfile; from paddle_automl.core.temporary import own_temporary_folder\n"
        "with own_temporary_folder(): print(tempfile.gettempdir())"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "TMPDIR": str(place)},
        timeout=60,
    )
    assert run.stdout.strip() == str(place)
