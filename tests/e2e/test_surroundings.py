"""Commands in real surroundings: asked to end, watched by nobody, started twice in one folder."""

import functools
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from paddle_automl.pipeline.runs.place import LockedFolder
from tests.e2e.conftest import ROOT, TINY, run_tool, write_config

PYTHON = [sys.executable, "-W", "ignore"]
LONG = {**TINY["training"], "epochs": 500}


@contextmanager
def start(name: str, *words: object, **options) -> Iterator[subprocess.Popen]:
    """Start a command; it is killed where the test fails. It heeds SIGHUP even when the tests run under nohup."""
    command = [*PYTHON, str(ROOT / "tools" / f"{name}.py"), *map(str, words)]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    heed = functools.partial(signal.signal, signal.SIGHUP, signal.SIG_DFL)
    process = subprocess.Popen(command, preexec_fn=heed, **{**streams, **options})
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def wait_for(condition, process, seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, "nothing happened"
        time.sleep(0.05)


def end(process: subprocess.Popen, number: int, *, all_of_them: bool = False) -> tuple[str, str]:
    """Send a signal, to all processes of the command or to itself; return what it wrote."""
    family = psutil.Process(process.pid).children(recursive=True)
    for member in family if all_of_them else ():
        member.send_signal(number)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    _, left = psutil.wait_procs(family, timeout=10)
    assert left == []
    return out, err


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """A temporary folder for commands alone, with a short name as sockets need it."""
    import tempfile

    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        monkeypatch.setenv("TMPDIR", folder)
        yield Path(folder)


@pytest.mark.parametrize(
    "all_of_them",
    [pytest.param(False, marks=pytest.mark.slow, id="the command"), pytest.param(True, id="all its processes")],
)
def test_a_search_that_is_asked_to_end_records_its_trials_as_interrupted(tmp_path, temporary, all_of_them):
    file = write_config(tmp_path, {**TINY, "training": LONG, "output": str(tmp_path / "out")})
    shared = set(os.listdir("/dev/shm"))
    with start("search", "-c", file) as process:
        wait_for(lambda: (tmp_path / "out/trials/0001/metrics.jsonl").exists(), process)
        out, err = end(process, signal.SIGTERM, all_of_them=all_of_them)
    assert process.returncode == 143
    assert err.strip() == (
        f"ended by SIGTERM; everything finished is kept in {tmp_path / 'out'}. "
        "The same command continues where it stopped"
    )
    assert "trial 0 interrupted" in out
    with sqlite3.connect(tmp_path / "out/study.db") as study:
        states = [state for (state,) in study.execute("SELECT state FROM trials ORDER BY number")]
        reasons = study.execute("SELECT value_json FROM trial_user_attributes WHERE key = 'reason'").fetchall()
    assert states == ["FAIL", "FAIL", "WAITING", "WAITING"]
    assert reasons == [('"interrupted"',)] * 2
    assert names(temporary) == []
    assert set(os.listdir("/dev/shm")) <= shared


@pytest.mark.slow
def test_a_closed_terminal_costs_a_finished_training_nothing(tmp_path, temporary):
    config = {key: value for key, value in TINY.items() if key not in ("search", "final")}
    file = write_config(tmp_path, {**config, "output": str(tmp_path / "run")})
    assert run_tool("train", "-c", file, "-o", "training.epochs=1").code == 0
    before = (tmp_path / "run/best.pdparams").read_bytes()

    def trained(count: int) -> bool:
        found = [path for path in tmp_path.glob(".run.partial-*/metrics.jsonl") if path.stat().st_size]
        return len(found) == count

    with start("train", "-c", file, "-o", "training.epochs=500") as process:
        wait_for(lambda: trained(1), process)
        _, err = end(process, signal.SIGHUP)
    assert process.returncode == 129
    assert err.startswith(
        f"ended by SIGHUP; '{tmp_path / 'run'}' is unchanged, and the best epoch so far is kept in"
    )
    assert err.count("\n") == 1
    assert (tmp_path / "run/best.pdparams").read_bytes() == before
    assert names(temporary) == []
    # A kill in the same state leaves what the next command deletes.
    with start("train", "-c", file, "-o", "training.epochs=500") as process:
        wait_for(lambda: trained(1), process)
        end(process, signal.SIGKILL)
    assert (tmp_path / "run/best.pdparams").read_bytes() == before
    assert run_tool("train", "-c", file, "-o", "training.epochs=1").code == 0
    assert not trained(1)
    assert names(temporary) == []


@pytest.mark.slow
def test_one_command_at_a_time_and_nothing_is_renamed_before_it_is_checked(searched, tmp_path):
    _, other, _ = searched
    out = shutil.copytree(other, tmp_path / "out")
    file = write_config(tmp_path, {**TINY, "output": str(out)})
    chain = write_config(tmp_path, {"compression": {"steps": ["quantize_post"]}}, "chain.yaml")
    with LockedFolder(out, "a search"):
        for command in (
            ("search", "-c", file),
            ("search", "-c", file, "--fresh", "-o", "seed=7"),
            ("train", "-c", file, "--fresh"),
            ("export", "-m", other / "trials/0000", "--to", out),
            ("compress", "-c", chain, "-m", other, "--to", out),
        ):
            refused = run_tool(*command)
            assert refused.code == 2, refused.err
            assert f"'{out}': another command works in this folder (a search, process {os.getpid()} " in refused.err
    before = (out / "study.db").read_bytes()
    wrong = (
        ("data.dataset={name: image_folder, root: nowhere}", "nowhere"),
        ("model.backbone={name: resnet, blocks: [1], strides: [64]}", "option"),
        (f"distillation={{teacher: ['{out}']}}", "which this command needs"),
    )
    for override, message in wrong:
        ran = run_tool("search", "-c", file, "--fresh", "-o", override)
        assert ran.code == 2, ran.out + ran.err
        assert message in ran.err
        assert (out / "study.db").read_bytes() == before
    assert [name for name in names(tmp_path) if name.startswith(("out.", ".out"))] == []
    fresh = run_tool("search", "-c", file, "--fresh", "-o", "training.epochs=1", "-o", "search.trials=1")
    assert fresh.code == 0, fresh.err
    (aside,) = [name for name in names(tmp_path) if name.startswith("out.")]
    assert f"the earlier results in '{out}' are now in '{tmp_path / aside}'" in fresh.out
    assert (tmp_path / aside / "study.db").read_bytes() == before


@pytest.mark.slow
def test_a_failed_check_leaves_the_folder_to_the_next_search(tmp_path):
    out = tmp_path / "out"
    space = {"model.backbone.strides": {"choice": [[1], [64]]}}
    model = {"backbone": {"name": "resnet", "width": 4, "blocks": [1], "strides": [1]}}
    file = write_config(
        tmp_path, {**TINY, "model": model, "search": {**TINY["search"], "space": space}, "output": str(out)}
    )
    failed = run_tool("search", "-c", file)
    assert failed.code == 2
    assert not (out / "study.db").exists()
    assert not (out / "config.yaml").exists()
    mended = run_tool("search", "-c", file, "-o", "search.space.model.backbone.strides={choice: [[1], [2]]}")
    assert mended.code == 0, mended.err


@pytest.mark.parametrize("stdout", ["/dev/full", "closed"])
def test_a_training_needs_no_standard_output(tmp_path, stdout):
    config = {key: value for key, value in TINY.items() if key not in ("search", "final")}
    file = write_config(tmp_path, {**config, "output": str(tmp_path / "run")})
    redirection = ">&-" if stdout == "closed" else f">{stdout}"
    ran = subprocess.run(
        ["sh", "-c", f'"$@" {redirection}', "sh", *PYTHON, str(ROOT / "tools/train.py"), "-c", str(file)],
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    assert ran.returncode == 0, ran.stderr
    assert (tmp_path / "run/result.json").is_file()
    assert "Traceback" not in ran.stderr
    assert ran.stderr.count("No space left on device") == (0 if stdout == "closed" else 1)


@pytest.mark.slow
def test_a_reader_that_goes_away_ends_no_search(tmp_path):
    file = write_config(tmp_path, {**TINY, "output": str(tmp_path / "out")})
    with start("search", "-c", file) as process:
        process.stdout.readline()
        process.stdout.close()
        err = process.stderr.read()
        assert process.wait(timeout=200) == 0, err
    assert err == ""
    assert (tmp_path / "out/summary.json").is_file()


def test_results_that_cannot_be_written_are_one_error(searched):
    _, output, _ = searched
    image = next((output / "model/samples").glob("*.png"))
    for name, words in (("predict", [image]), ("evaluate", [])):
        with open("/dev/full", "w") as full, start(name, "-m", output, *words, stdout=full) as process:
            _, err = process.communicate(timeout=200)
        assert process.returncode == 2
        assert err.strip() == "error: standard output: cannot be written: No space left on device"


@pytest.mark.slow
def test_what_was_damaged_or_deleted_since_is_made_again(searched, tmp_path):
    _, other, _ = searched
    out = shutil.copytree(other, tmp_path / "out")
    file = write_config(tmp_path, {**TINY, "output": str(out)})
    assert run_tool("search", "-c", file).code == 0
    weights = out / "refit/best.pdparams"
    before = weights.read_bytes()
    weights.write_bytes(b"")
    bundle = out / "model/inference.pdiparams"
    bundle.write_bytes(bundle.read_bytes()[:-4] + b"spam")
    (out / "best.yaml").unlink()
    (out / "summary.json").unlink()
    again = run_tool("search", "-c", file)
    assert again.code == 0, again.err
    assert "started" not in again.out
    assert weights.read_bytes() == before
    assert (out / "best.yaml").is_file()
    assert (out / "summary.json").is_file()
    checked = run_tool("evaluate", "-m", out, "--json")
    assert checked.code == 0, checked.err
