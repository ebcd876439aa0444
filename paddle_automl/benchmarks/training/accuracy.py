"""The command `benchmark precision`: accuracy after training in bfloat16 and in float32, seed by seed."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from rich.console import Console
from rich.table import Table
from scipy.stats import t

from paddle_automl.benchmarks.kept import Kept
from paddle_automl.benchmarks.training.command import chosen, screen, tell
from paddle_automl.benchmarks.training.pool import executor
from paddle_automl.core.errors import ConfigError, TrialError
from paddle_automl.core.runtime import usable_cores
from paddle_automl.search.executors.base import Executor, Failed, Finished, Job

SUMMARY = "Compare accuracies after training in bfloat16 and in float32, with the same seeds."
DESCRIPTION = """For each seed a network is trained in both types from the same weights, on the same batches; its
last weights are tested in float32. The criterion: the mean difference is at most t s sqrt(2 / n), with s the
standard deviation of the float32 accuracies over the n seeds, and t Student's quantile 0.975 of n - 1 degrees of
freedom (12.7 for 2 seeds, 2.78 for 5, 2.09 for 20). In 19 of 20 cases the mean would change by at most that if
float32 were run with n other seeds."""
CONFIDENCE = 0.95
DTYPES = ("float32", "bfloat16")
JOB = "paddle_automl.benchmarks.training.accuracy_job:run"
_RECIPE: dict[str, Any] = {
    "optimizer": {"name": "momentum", "learning_rate": 0.05, "weight_decay": 1e-4},
    "lr_schedule": "cosine",
    "ema": {"decay": 0.99},
    "clip_global_norm": 5.0,
}
_FAST: dict[str, Any] = {"name": "momentum", "learning_rate": 0.1, "weight_decay": 5e-4}
TASKS: dict[str, dict[str, Any]] = {
    "digits": {
        "images": None,
        "config": {
            "data": {"dataset": "digits", "augment": [{"name": "random_crop", "padding": 1}]},
            "model": {"backbone": {"name": "resnet", "width": 16, "blocks": [1, 1, 1]}},
            "training": {**_RECIPE, "epochs": 15, "batch_size": 64},
        },
    },
    "fashion_mnist": {
        "images": 20_000,
        "config": {
            "data": {"dataset": {"name": "idx"}, "split": {"validation": 0.1}, "augment": ["horizontal_flip"]},
            "model": {"backbone": {"name": "vgg", "width": 16, "convs": [1, 1, 1]}},
            "training": {**_RECIPE, "optimizer": _FAST, "epochs": 6, "batch_size": 128},
        },
    },
}
"""The tasks: number of training images (none: all), and the configuration."""


@dataclass(frozen=True)
class PrecisionRequest:
    """One training: a configuration of `TASKS`, on this number of its training images (None: all), in one type."""

    task: str
    dtype: str
    seed: int
    config: dict[str, Any]
    images: int | None


def add_arguments(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command's parser; its `run` does the work."""
    precision = commands.add_parser(
        "precision",
        help=SUMMARY,
        description=f"{SUMMARY}\n\n{DESCRIPTION}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    precision.add_argument("--seeds", type=int, default=5, help="trainings in each type, at least 2 (default: 5)")
    precision.add_argument("--tasks", default="all", help=f"comma-separated tasks out of {', '.join(TASKS)}")
    precision.add_argument(
        "--data", type=Path, metavar="DIR", help="folder with fashion_mnist/, its four idx files"
    )
    precision.add_argument("--workers", type=int, default=usable_cores(), help="processes (default: all cores)")
    precision.add_argument(
        "--json", type=Path, metavar="FILE", help="write results to FILE; trainings already there are kept"
    )
    precision.set_defaults(run=_precision)


def _precision(args: argparse.Namespace) -> None:
    if args.seeds < 2 or args.workers < 1:
        raise ConfigError("--seeds: must be at least 2, and --workers at least 1")
    names = chosen("--tasks", args.tasks, list(TASKS))
    if args.data is None and "fashion_mnist" in names:
        if args.tasks != "all":
            raise ConfigError("--data: must name the folder that contains fashion_mnist/")
        screen().print("fashion_mnist is left out: give the folder that contains it with --data DIR", style="dim")
        names.remove("fashion_mnist")
    requests = [
        PrecisionRequest(name, dtype, seed, _config(name, args.data), TASKS[name]["images"])
        # Seeds outermost: an interrupted comparison covers everything a little.
        for seed in range(args.seeds)
        for name in names
        for dtype in DTYPES
    ]
    kept = Kept.load(args.json, "precision")
    _train_all(requests, kept, args.workers)
    summary = {name: summary_of([item for item in requests if item.task == name], kept) for name in names}
    kept.save(summary)
    print_differences(screen(), summary)


def _config(name: str, data: Path | None) -> dict[str, Any]:
    config: dict[str, Any] = TASKS[name]["config"]
    if data is not None and name == "fashion_mnist":
        dataset = {**config["data"]["dataset"], "root": str((data / name).resolve())}
        config = {**config, "data": {**config["data"], "dataset": dataset}}
    return config


def _train_all(requests: Sequence[PrecisionRequest], kept: Kept, workers: int) -> None:
    missing = [request for request in requests if kept.get(asdict(request)) is None]
    if not missing:
        return
    with tempfile.TemporaryDirectory() as folder, executor(workers, Path(folder)) as pool:
        waiting, running = list(enumerate(missing)), 0
        while waiting or running:
            while waiting and pool.free:
                number, request = waiting.pop(0)
                pool.submit(number, Job(JOB, request, Path(folder) / f"{number}.log"))
                running += 1
            tell(f"{len(missing) - len(waiting) - running} of {len(missing)} trainings")
            running -= _take(pool, missing, kept)
    tell("")


def _take(pool: Executor, missing: Sequence[PrecisionRequest], kept: Kept) -> int:
    """Store results that arrive within a second; return their number."""
    ended = 0
    for event in pool.poll(1.0):
        if isinstance(event, Finished):
            kept.put(asdict(missing[event.id]), dict(event.result))
            ended += 1
        elif isinstance(event, Failed):
            request = missing[event.id]
            raise TrialError(f"{request.task}, {request.dtype}, seed {request.seed}: {event.reason}")
        else:
            pool.reply(event.id, True)
    return ended


def summary_of(requests: Sequence[PrecisionRequest], kept: Kept) -> dict[str, Any]:
    """Return accuracies by type and seed, their paired differences, and whether these are within the noise."""
    found = {dtype: [kept.get(asdict(item)) for item in requests if item.dtype == dtype] for dtype in DTYPES}
    accuracies = {dtype: [run["accuracy"] for run in runs if run is not None] for dtype, runs in found.items()}
    differences = [low - full for low, full in zip(accuracies["bfloat16"], accuracies["float32"], strict=True)]
    count = len(differences)
    spread = stdev(accuracies["float32"])
    # The spread is estimated from few runs itself, so the normal distribution's quantile, 2, would be too small.
    allowed = float(t.ppf((1 + CONFIDENCE) / 2, count - 1)) * spread * (2 / count) ** 0.5
    return {
        "accuracy": accuracies,
        "ran_in": {
            dtype: sorted({run["precision"] for run in runs if run is not None}) for dtype, runs in found.items()
        },
        "test_images": next(run["test_images"] for run in found["float32"] if run is not None),
        "differences": differences,
        "mean_difference": fmean(differences),
        "spread_of_differences": stdev(differences),
        "spread_of_float32": spread,
        "allowed": allowed,
        "within_noise": abs(fmean(differences)) <= allowed,
    }


def print_differences(console: Console, summary: Mapping[str, Mapping[str, Any]]) -> None:
    """Print accuracies by seed, and the paired differences with their spread."""
    for name, task in summary.items():
        table = Table(title=f"{name}: test accuracy in percent, {task['test_images']} images", title_justify="left")
        table.add_column("seed")
        for column in (*DTYPES, "difference"):
            table.add_column(column, justify="right")
        rows = zip(*(task["accuracy"][dtype] for dtype in DTYPES), task["differences"], strict=True)
        for seed, (full, low, difference) in enumerate(rows):
            table.add_row(str(seed), f"{100 * full:.2f}", f"{100 * low:.2f}", f"{100 * difference:+.2f}")
        means = [f"{100 * fmean(task['accuracy'][dtype]):.2f}" for dtype in DTYPES]
        table.add_section()
        table.add_row("mean", *means, f"{100 * task['mean_difference']:+.2f}")
        spreads = [f"{100 * stdev(task['accuracy'][dtype]):.2f}" for dtype in DTYPES]
        table.add_row("s.d.", *spreads, f"{100 * task['spread_of_differences']:.2f}")
        console.print(table)
        word = "within" if task["within_noise"] else "BEYOND"
        console.print(
            f"mean difference {100 * task['mean_difference']:+.2f}, noise {100 * task['allowed']:.2f}: {word} it"
        )
        if task["ran_in"]["bfloat16"] != ["bfloat16"]:
            ran = ", ".join(task["ran_in"]["bfloat16"])
            console.print(f"bfloat16 was not used: this processor and these steps ran in {ran}", style="yellow")
    console.print(
        "noise: t s sqrt(2 / n), with s the s.d. of the n float32 accuracies and t Student's quantile 0.975 of "
        "n - 1 degrees of freedom",
        style="dim",
    )
