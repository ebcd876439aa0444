"""A tiny search on digits, run once, and helpers that call commands as a user does."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import tempfile
import traceback
from dataclasses import dataclass
from multiprocessing import forkserver
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]

TINY = {
    "report": "none",
    "data": {"dataset": "digits"},
    "model": {"backbone": {"name": "resnet", "width": 8, "blocks": [1]}},
    "training": {
        "epochs": 3,
        "batch_size": 64,
        "optimizer": {"name": "momentum", "learning_rate": 0.1},
        "ema": {"decay": 0.9},
    },
    "refit": {"epochs": 4},
    "search": {
        "controller": "random_search",
        "trials": 3,
        "workers": 2,
        "keep_checkpoints": 2,
        "space": {
            "model.backbone": {"resnet": {"width": {"choice": [4, 8]}}, "vgg": {"width": {"choice": [4, 8]}}},
            "training.optimizer.learning_rate": {"log": [0.01, 0.3]},
        },
    },
}


@dataclass(frozen=True)
class Ran:
    """A command that ended."""

    code: int
    out: str
    err: str


def run_tool(name: str, *words: object, cwd: Path | None = None, **environment: str) -> Ran:
    """Run ``tools/NAME.py`` in a process of its own."""
    run = subprocess.run(
        [sys.executable, str(ROOT / "tools" / f"{name}.py"), *map(str, words)],
        cwd=cwd,
        capture_output=True,
        env={**os.environ, **environment},
        check=False,
        timeout=300,
    )
    return Ran(run.returncode, run.stdout.decode("utf-8", "replace"), run.stderr.decode("utf-8", "replace"))


def run_forked(name: str, *words: object) -> Ran:
    """Run a command in a fork of this process, which has imported everything: a mistake is told much sooner."""
    command = importlib.import_module(f"paddle_automl.cli.{name}")
    # What the commands import only when they need it.
    for module in ("cli.results", "pipeline.commands", "pipeline.progress.display", "pipeline.stages.run"):
        importlib.import_module(f"paddle_automl.{module}")
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = os.fork()
        if child == 0:
            code = 1
            try:
                sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__
                os.dup2(out.fileno(), 1)
                os.dup2(err.fileno(), 2)
                sys.argv = [f"tools/{name}.py", *map(str, words)]
                # The fork server of an earlier test is a child of the parent, not of this process.
                for state in ("address", "alive_fd", "pid"):
                    setattr(forkserver._forkserver, f"_forkserver_{state}", None)
                code = command.main()
            except BaseException:  # noqa: BLE001  the parent shows it
                traceback.print_exc()
            finally:
                for stream in (sys.stdout, sys.stderr):
                    stream.flush()
                # Without the cleaning up of the test's process, which this one inherited.
                os._exit(code)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode("utf-8", "replace"))
    return Ran(code, *texts)


def write_config(folder: Path, data: dict, name: str = "config.yaml") -> Path:
    file = folder / name
    file.write_text(yaml.safe_dump(data, allow_unicode=True), encoding="utf-8")
    return file


@pytest.fixture(scope="session")
def searched(tmp_path_factory) -> tuple[Path, Path, Ran]:
    """A finished search: its configuration file, its output folder and what it printed."""
    folder = tmp_path_factory.mktemp("searched")
    output = folder / "output"
    file = write_config(folder, {**TINY, "report": "en", "output": str(output)})
    return file, output, run_tool("search", "-c", file)
