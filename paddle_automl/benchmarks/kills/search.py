"""The tiny search that is killed, and the signs that show its phases from outside."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil

from paddle_automl.core.files import write_text
from paddle_automl.core.yaml_io import dump_yaml
from paddle_automl.pipeline.runs.folder import RunFolder

TOOL = Path(__file__).parents[3] / "tools" / "search.py"
TRIALS = 4
PHASES = ("start", "check", "trials", "between trials", "interim export", "refit", "export", "report")
VICTIMS = ("coordinator", "worker", "fork server", "all")
NOTHING_KILLED = "nothing killed"
"""Instead of the phase if the search ended before there was a victim, such as a worker in the report."""
GIVE_UP_S = 300.0
_LOOK_EVERY_S = 0.01


def configuration(workers: int, output: Path) -> dict[str, Any]:
    """Return the configuration: networks of a few thousand weights, only the seed is random."""
    return {
        "output": str(output),
        "data": {"dataset": "digits"},
        "model": {"backbone": {"name": "resnet", "width": 4, "blocks": [1]}},
        "training": {
            "epochs": 3,
            "batch_size": 64,
            "optimizer": {"name": "momentum", "learning_rate": 0.1},
            "ema": {"decay": 0.9},
        },
        # Long enough to be better than the trials, so that its weights are exported.
        "refit": {"epochs": 8},
        "visualdl": False,
        "search": {
            "controller": "random_search",
            "executor": {"name": "local", "threads": 1},
            "trials": TRIALS,
            "workers": workers,
            "keep_checkpoints": TRIALS,
            "space": {
                "model.backbone.width": {"choice": [4, 8]},
                "training.optimizer.learning_rate": {"log": [0.03, 0.3]},
            },
        },
    }


class Started:
    """The running command, in a folder with an ``output`` and its own temporary folder (``tmp``)."""

    def __init__(self, folder: Path, workers: int) -> None:
        self.folder = folder
        self.output = RunFolder(folder / "output")
        temporary = folder / "tmp"
        temporary.mkdir(parents=True, exist_ok=True)
        file = folder / "config.yaml"
        write_text(file, dump_yaml(configuration(workers, self.output.path)))
        with (folder / "log").open("ab") as sink:
            self.process = subprocess.Popen(
                [sys.executable, str(TOOL), "-c", str(file)],
                stdout=sink,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                cwd=folder,
                env={**os.environ, "TMPDIR": str(temporary)},
                start_new_session=True,
            )
        self.started = time.monotonic()

    def wait(self) -> int:
        """Return the exit code; a command that hangs is killed."""
        try:
            return self.process.wait(GIVE_UP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()

    def family(self) -> dict[str, list[psutil.Process]]:
        """Return the processes that are alive now, by kind."""
        found: dict[str, list[psutil.Process]] = {"coordinator": [], "fork server": [], "worker": [], "other": []}
        try:
            if self.process.poll() is not None:
                return found
            own = psutil.Process(self.process.pid)
            found["coordinator"].append(own)
            for child in own.children():
                serves = "multiprocessing.forkserver" in " ".join(child.cmdline())
                found["fork server" if serves else "other"].append(child)
                found["worker" if serves else "other"] += child.children(recursive=True)
        except psutil.Error:
            # It ended while it was inspected.
            return found
        return found

    def passed(self) -> dict[str, float]:
        """Return the signs that exist now, by name, with the times (epoch seconds) at which they were written."""
        output = self.output
        files = {
            "check": output.log("check"),
            "interim export": output.log("interim"),
            "refit": output.refit.config,
        }
        files |= {"export": output.log("export"), "report": output.manifest("export")}
        for number in range(TRIALS):
            files[f"trial {number}"] = output.trial(number).config
            files[f"trial {number} ended"] = output.trial(number).result
        return {name: file.stat().st_mtime for name, file in files.items() if file.exists()}

    def wait_for(self, sign: str) -> bool:
        """Wait until a sign exists; return False if the command ended before."""
        while sign not in self.passed():
            if self.process.poll() is not None or time.monotonic() - self.started > GIVE_UP_S:
                return False
            time.sleep(_LOOK_EVERY_S)
        return True


def phase_of(signs: set[str], busy: bool) -> str:
    """Return the phase for these signs; `busy` says whether a worker was alive."""
    for name in ("report", "export", "refit"):
        if name in signs:
            return name
    started = {sign for sign in signs if sign.startswith("trial ") and not sign.endswith(" ended")}
    if not started:
        return "check" if "check" in signs else "start"
    if all(f"{sign} ended" in signs for sign in started):
        return "interim export" if busy and "interim export" in signs else "between trials"
    return "trials"
