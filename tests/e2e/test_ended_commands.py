"""Export, compress and evaluate that are asked to end: one line, nothing half-written, nothing left behind."""

import os
import shutil
import signal
import tempfile
import time
from pathlib import Path

import pytest

from tests.e2e.conftest import TINY, run_tool, write_config
from tests.e2e.test_surroundings import end, names, start

CHAIN = {
    "compression": {
        "max_drop": 1.0,
        "steps": [{"name": "quantize_aware", "tune": {"epochs": 60, "average": False}}],
    }
}


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A trained run with its bundle."""
    folder = tmp_path_factory.mktemp("ended")
    config = {key: value for key, value in TINY.items() if key not in ("search", "refit")}
    assert run_tool("train", "-c", write_config(folder, {**config, "output": str(folder / "run")})).code == 0
    assert run_tool("export", "-m", folder / "run").code == 0
    return folder / "run"


@pytest.fixture
def scratch(monkeypatch):
    """A temporary folder for the commands alone, with a short name as sockets need it."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        monkeypatch.setenv("TMPDIR", folder)
        yield Path(folder)


def contents(folder) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
@pytest.mark.parametrize("all_of_them", [False, True], ids=["the command", "all its processes"])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
@pytest.mark.parametrize("name", ["export", "compress", "evaluate"])
def test_a_command_that_is_asked_to_end_leaves_nothing(
    exported, scratch, tmp_path, name, number, code, all_of_them
):
    run = shutil.copytree(exported, tmp_path / "run")
    words = ["-c", write_config(tmp_path, CHAIN), "-m", run] if name == "compress" else ["-m", run]
    before, shared = contents(run), set(os.listdir("/dev/shm"))
    # From the imports to the work of the job.
    for seconds in (1.5, 4.0, 6.0):
        with start(name, *words) as process:
            time.sleep(seconds)
            running = process.poll() is None
            _, err = end(process, number, all_of_them=all_of_them) if running else process.communicate()
        if running and process.returncode != 0:
            # Before the command has begun, in the first imports, the signal ends Python by itself.
            assert process.returncode in (code, -number)
            # Paddle has a line of its own about an import that was interrupted.
            assert err.splitlines()[-1:] == [f"ended by {number.name}"] * (process.returncode == code)
            assert "Traceback" not in err
        assert names(scratch) == []
        assert set(os.listdir("/dev/shm")) <= shared
        assert run_tool("verify", "-m", run / "model").code == 0
        if process.returncode != 0:
            after = contents(run)
            assert {path: after.get(path) for path in before} == before
            assert [path for path in after if "partial" in path or path.endswith("bundle.yaml")] == [
                "model/bundle.yaml"
            ]
