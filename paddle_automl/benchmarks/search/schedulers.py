"""The command `benchmark schedulers`: early stopping on tabulated learning curves."""

from __future__ import annotations

import argparse
import multiprocessing
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from paddle_automl.benchmarks.search.curves import SHARES, CurveTask, curve_tasks, replay, scheduler_of
from paddle_automl.core.errors import ConfigError
from paddle_automl.core.files import write_json

SUMMARY = "Compare schedulers on the learning curves of TaskSet, under random search."
FULL = "none"


def add_arguments(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command's parser; its `run` does the work."""
    parser = commands.add_parser("schedulers", help=SUMMARY, description=SUMMARY)
    parser.add_argument("--schedulers", default="none,asha,hyperband:max_epochs=51,median,patience")
    parser.add_argument("--trials", type=int, default=100, help="trials of the full search (default: 100)")
    parser.add_argument("--seeds", type=int, default=20, help="orders of the configurations (default: 20)")
    parser.add_argument("--data", type=Path, metavar="DIR", required=True, help="folder with hpo/")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes (default: all cores)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all results to FILE")
    parser.set_defaults(run=_compare)


def _compare(args: argparse.Namespace) -> None:
    """Replay and print the mean regrets after fractions of the full search's epochs."""
    names = [word for word in args.schedulers.split(",") if word]
    if args.trials < 1 or args.seeds < 1 or args.workers < 1:
        raise ConfigError("--trials, --seeds and --workers: must be at least 1")
    for name in names:
        scheduler_of(name)
    count = len(_tasks(args.data))
    jobs = [(name, number, seed) for name in names for number in range(count) for seed in range(args.seeds)]
    with ProcessPoolExecutor(args.workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        done = list(pool.map(partial(_replay, args.data, args.trials), jobs, chunksize=8))
    regrets = np.array([[row[0][share] for share in SHARES] for row in done]).reshape(len(names), -1, len(SHARES))
    begun = np.array([row[1] for row in done]).reshape(len(names), -1).mean(axis=1)
    _print(names, regrets, begun, args)
    if args.json is not None:
        figures = {
            name: {str(share): regrets[i, :, k].tolist() for k, share in enumerate(SHARES)}
            for i, name in enumerate(names)
        }
        write_json(args.json, {"regrets": figures, "trials_begun": dict(zip(names, begun.tolist(), strict=True))})


@lru_cache(maxsize=1)
def _tasks(data: Path) -> Sequence[CurveTask]:
    return curve_tasks(data)


def _replay(data: Path, trials: int, job: tuple[str, int, int]) -> tuple[dict[float, float], int]:
    name, number, seed = job
    return replay(_tasks(data)[number], scheduler_of(name), trials=trials, seed=seed)


def _print(names: Sequence[str], regrets: np.ndarray, begun: np.ndarray, args: argparse.Namespace) -> None:
    title = f"Mean normalized regret after fractions of the epochs of {args.trials} full trials, {args.seeds} seeds"
    grid = Table(title=title)
    for column in ("scheduler", *(f"{share:g} of the epochs" for share in SHARES), "trials started"):
        grid.add_column(column)
    for i, name in enumerate(names):
        grid.add_row(name, *(f"{value:.4f}" for value in regrets[i].mean(axis=0)), f"{begun[i]:.0f}")
    console = Console(width=160, highlight=False)
    console.print(grid)
    if FULL in names:
        whole = regrets[names.index(FULL), :, -1].mean()
        for i, name in enumerate(names):
            quarter = regrets[i, :, 0].mean()
            console.print(
                f"{name}: {quarter - whole:+.4f} at a quarter of the epochs against the full search's end"
            )
