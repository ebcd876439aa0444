"""Runs one search as a command and observes its results and their times from outside."""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, Protocol

from paddle_automl.benchmarks.deadlines.cases import Case
from paddle_automl.core.errors import BundleError
from paddle_automl.deployment.bundle import Bundle
from paddle_automl.pipeline.runs.folder import RunFolder

LOOK_EVERY_S = 0.25
GIVE_UP_S = 120.0
"""Seconds after its deadline after which a command is killed."""
LAST_LINES = 5


def measure(case: Case) -> dict[str, Any]:
    """Run a case in a temporary folder and return its results.

    `took_s` is the time from the start of the command to its end, `first_bundle_s` that to the first verified
    bundle (None: never), `stage_seconds` those of `summary.json`.
    """
    with tempfile.TemporaryDirectory() as temporary:
        output = RunFolder(Path(temporary, "output"))
        case.prepare(output.path)
        log = Path(temporary, "log")
        figures = {**watch(case, output, log, log.parent), **result_of(output), **summary_of(output)}
        if case.hangs:
            figures["hung"] = case.hung(output.path)
        if figures["exit_code"] != 0:
            figures["last_lines"] = log.read_text(encoding="utf-8", errors="replace").splitlines()[-LAST_LINES:]
        return figures


class Search(Protocol):
    """A command with an end."""

    @property
    def allowed_s(self) -> float:
        """Return the latest allowed end, in seconds from its start."""

    def command(self, output: Path) -> list[str]:
        """Return the words of the command, whose results go to the folder `output`."""


def watch(case: Search, output: RunFolder, log: Path, folder: Path) -> dict[str, Any]:
    """Run the command in `folder` to its end, or kill it long after its deadline.

    Returns the seconds to its end (`took_s`) and to the first verified bundle (`first_bundle_s`, None: never), and
    its exit code.
    """
    first = None
    with log.open("wb") as sink:
        started = time.monotonic()
        process = subprocess.Popen(case.command(output.path), stdout=sink, stderr=subprocess.STDOUT, cwd=folder)
        try:
            while process.poll() is None:
                # After the first one it is not checked again: hashing takes time from the search.
                if first is None and _verified(output) is not None:
                    first = time.monotonic() - started
                if time.monotonic() - started > case.allowed_s + GIVE_UP_S:
                    break
                time.sleep(LOOK_EVERY_S)
            took = time.monotonic() - started
        finally:
            # Its workers end by themselves.
            process.kill()
            process.wait()
    if first is None and _verified(output) is not None:
        first = took
    return {
        "took_s": round(took, 1),
        "first_bundle_s": None if first is None else round(first, 1),
        "exit_code": process.returncode,
    }


def _verified(output: RunFolder) -> Bundle | None:
    """Return the bundle if it is complete and verified."""
    if not output.bundle_file.exists():
        return None
    try:
        bundle = Bundle.open(output.bundle)
    except BundleError:
        return None
    return bundle if bundle.verified else None


def result_of(output: RunFolder) -> dict[str, Any]:
    """Return the final result for a user: whether the bundle is verified, and its main metric."""
    bundle = _verified(output)
    if bundle is None:
        return {"verified": False, "metric": None, "validation": None, "test": None}
    metric, scores = bundle.task.metrics[0], bundle.info.metrics
    values = {split: scores.get(split, {}).get(metric) for split in ("validation", "test")}
    return {"verified": True, "metric": metric, **values}


def summary_of(output: RunFolder) -> dict[str, Any]:
    """Return the number of trials, the end of the first one, and the times of the stages.

    A search that was cut short has no summary.
    """
    if not output.summary.is_file():
        return {"trials": None, "first_trial_s": None, "stage_seconds": {}}
    summary = json.loads(output.summary.read_text(encoding="utf-8"))
    trials, stages = summary["trials"], summary["stage_seconds"]
    took = next((trial["seconds"] for trial in trials if trial["state"] in ("complete", "pruned")), None)
    first = None if took is None else round(stages.get("check", 0.0) + took, 1)
    return {"trials": len(trials), "first_trial_s": first, "stage_seconds": stages}
