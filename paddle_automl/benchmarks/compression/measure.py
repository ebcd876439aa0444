"""Measuring with the commands' own functions: train, compress, evaluate; existing results are kept."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from paddle_automl.benchmarks.compression.plan import Plan
from paddle_automl.benchmarks.kept import read_figures
from paddle_automl.core.files import write_json
from paddle_automl.core.loading import validate
from paddle_automl.core.runtime import processor_name
from paddle_automl.pipeline.commands import CompressFile, compress_run, train_run
from paddle_automl.pipeline.config import RunConfig
from paddle_automl.pipeline.evaluation import evaluate_model
from paddle_automl.pipeline.runs.folder import RunFolder

FORMAT = 2
FIGURES = (
    "form",
    "accuracy",
    "parameters",
    "flops",
    "weights_mb",
    "weights_ratio",
    "latency",
    "formats",
    "kept",
    "reason",
    "seconds",
)
"""Fields that are kept of a network of the chain."""

Tell = Callable[[str], None]


class Figures:
    """All results, by network and data set, in a file from which an interrupted measurement continues."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.plans: dict[str, dict[str, Any]] = read_figures(path, "plans", format=FORMAT)

    def measure(self, plan: Plan, tell: Tell) -> dict[str, Any]:
        """Return the results of a plan; measures those that are missing or were made with other settings."""
        found = self.plans.get(plan.key)
        if found is None or found["run"] != plan.run() or not RunFolder(plan.folder).weights.is_file():
            tell(f"{plan.key}: training")
            self._keep(plan, _base(plan))
        for name, section in plan.cases().items():
            done = self.plans[plan.key]["cases"].get(name)
            if done is None or done["compression"] != section:
                tell(f"{plan.key}: {name}")
                self.plans[plan.key]["cases"][name] = _case(plan, name, section)
                self.save()
        return self.plans[plan.key]

    def _keep(self, plan: Plan, figures: dict[str, Any]) -> None:
        self.plans[plan.key] = figures
        self.save()

    def save(self, criteria: Mapping[str, Any] | None = None) -> None:
        """Write the file, with the criteria if they are known."""
        if self.path is not None:
            extra = {"criteria": criteria} if criteria else {}
            write_json(self.path, {"format": FORMAT, "processor": processor_name(), **extra, "plans": self.plans})


def _base(plan: Plan) -> dict[str, Any]:
    """Train the network; return its settings and scores."""
    started = time.perf_counter()
    trained = train_run(validate(RunConfig, plan.run()))
    return {
        "network": plan.network,
        "dataset": plan.dataset,
        "run": plan.run(),
        "seconds": round(time.perf_counter() - started, 1),
        "parameters": int(trained.metrics["parameters"]),
        "test_accuracy": _test_accuracy(trained.folder),
        "cases": {},
    }


def _case(plan: Plan, name: str, section: Mapping[str, Any]) -> dict[str, Any]:
    """Run one chain as the command `compress` does; return its networks, the first one is that before the chain."""
    target = plan.folder / "compressed" / name
    shutil.rmtree(target, ignore_errors=True)
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    started = time.perf_counter()
    outcome = compress_run(validate(CompressFile, {"compression": section}), plan.folder, target)
    seconds = time.perf_counter() - started
    steps = [_figures_of(step) for step in outcome.steps]
    for position, step in enumerate(steps):
        bundle = target / f"{position}_{step['name']}"
        if position and step["kept"]:
            step["test_accuracy"] = _test_accuracy(bundle, "paddle")
            for name, facts in step.get("formats", {}).items():
                facts["test_accuracy"] = _test_accuracy(bundle, name)
    return {"compression": dict(section), "seconds": round(seconds, 1), "load_before": load, "steps": steps}


def _figures_of(step: Mapping[str, Any]) -> dict[str, Any]:
    """Return the kept fields of a network of the chain; the main metric of these data sets is the accuracy."""
    found = {**step, "accuracy": step["score"]}
    formats = {name: {**facts, "accuracy": facts["score"]} for name, facts in step.get("formats", {}).items()}
    return {"name": step["name"], **{key: found[key] for key in FIGURES if key in found}, "formats": formats}


def _test_accuracy(path: Path, runtime: str = "auto") -> float:
    return float(evaluate_model(path, "test", mistakes=0, runtime=runtime)["metrics"]["accuracy"])
