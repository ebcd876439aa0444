"""The command `benchmark scaling`: the gain of a second worker, compared with the machine's own scaling."""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from paddle_automl.benchmarks.training.command import chosen, screen, tell
from paddle_automl.benchmarks.training.pool import executor
from paddle_automl.core.errors import ConfigError, TrialError
from paddle_automl.core.files import write_json
from paddle_automl.core.runtime import processor_name, usable_cores
from paddle_automl.search.executors.base import Executor, Failed, Finished, Job

SUMMARY = "Compare the throughput of parallel trials with that of one, by wall-clock time."
DESCRIPTION = """Trials train with this project's whole loop, each in its own process with one thread. The scaling
of the machine itself (clock rate, caches, other load) is measured in turn with processes that only multiply
matrices. The machine should be idle."""
PRODUCT = "product"
NETS = ("cnn", "small")
DTYPES = ("float32", "bfloat16")
TARGET = 0.95
JOB = "paddle_automl.benchmarks.training.scaling_job:run"
READY_S = 4.0
"""Seconds for processes to start, build their network and warm up before the measurement."""


@dataclass(frozen=True)
class ScalingRequest:
    """Request of one process: training of `net` or products, counted from `begin` to `end` (clock seconds)."""

    net: str
    dtype: str
    begin: float
    end: float


def add_arguments(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command's parser; its `run` does the work."""
    scaling = commands.add_parser(
        "scaling",
        help=SUMMARY,
        description=f"{SUMMARY}\n\n{DESCRIPTION}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    scaling.add_argument(
        "--nets", default="cnn", help=f"comma-separated networks out of {', '.join(NETS)} (default: cnn)"
    )
    scaling.add_argument("--dtypes", default="all", help=f"comma-separated types out of {', '.join(DTYPES)}")
    scaling.add_argument(
        "--workers", type=int, default=min(2, usable_cores()), help="parallel processes (default: 2)"
    )
    scaling.add_argument("--rounds", type=int, default=5, help="measurements of each kind (default: 5)")
    scaling.add_argument("--seconds", type=float, default=4.0, help="length of a measurement (default: 4)")
    scaling.add_argument("--json", type=Path, metavar="FILE", help="write all results to FILE")
    scaling.set_defaults(run=_scaling)


def _scaling(args: argparse.Namespace) -> None:
    if args.workers < 2 or args.rounds < 1 or args.seconds <= 0:
        raise ConfigError("--workers: must be at least 2, --rounds at least 1, --seconds above 0")
    nets, dtypes = chosen("--nets", args.nets, NETS), chosen("--dtypes", args.dtypes, DTYPES)
    kinds = [{"net": PRODUCT, "dtype": "float32"}, *({"net": net, "dtype": d} for net in nets for d in dtypes)]
    rounds: list[list[float]] = [[] for _ in kinds]
    with tempfile.TemporaryDirectory() as folder, executor(args.workers) as pool:
        for number in range(args.rounds):
            for index, kind in enumerate(kinds):
                tell(f"round {number + 1} of {args.rounds}: {kind['net']}, {kind['dtype']}")
                # One or many processes begin in turn, so that a machine that gets faster or slower favours neither.
                counts = (1, args.workers) if number % 2 == 0 else (args.workers, 1)
                speed = {count: _throughput(pool, kind, count, args.seconds, Path(folder)) for count in counts}
                rounds[index].append(speed[args.workers] / speed[1])
    tell("")
    found = summary_of(kinds, rounds)
    if args.json is not None:
        write_json(
            args.json, {"processor": processor_name(), "workers": args.workers, "target": TARGET, "kinds": found}
        )
    print_scaling(screen(), found, args.workers)


def _throughput(pool: Executor, kind: Mapping[str, Any], count: int, seconds: float, folder: Path) -> float:
    """Return the total work per second of `count` processes over the same time window."""
    begin = time.time() + READY_S
    for number in range(count):
        request = ScalingRequest(kind["net"], kind["dtype"], begin, begin + seconds)
        pool.submit(number, Job(JOB, request, folder / f"{number}.log"))
    speeds: list[float] = []
    while len(speeds) < count:
        for event in pool.poll(1.0):
            if isinstance(event, Finished):
                speeds.append(float(event.result["per_second"]))
            elif isinstance(event, Failed):
                raise TrialError(f"{kind['net']}, {kind['dtype']}: {event.reason}")
    return sum(speeds)


def summary_of(kinds: Sequence[Mapping[str, Any]], rounds: Sequence[Sequence[float]]) -> list[dict[str, Any]]:
    """Return for each kind of work the factor of the throughput, and its ratio to that of products."""
    product = median(rounds[0])
    return [
        {**kind, "scaling": median(found), "over_product": median(found) / product, "rounds": list(found)}
        for kind, found in zip(kinds, rounds, strict=True)
    ]


def print_scaling(console: Console, found: Sequence[Mapping[str, Any]], workers: int) -> None:
    """Print a line per kind of work."""
    table = Table(title=f"{workers} processes over one, throughput", title_justify="left")
    for name in ("work", "type", "factor", "lowest", "highest", "over products"):
        table.add_column(name, justify="left" if name in ("work", "type") else "right")
    for row in found:
        own = row["net"] == PRODUCT
        mark = "" if own or row["over_product"] >= TARGET else " !"
        share = "" if own else f"{row['over_product']:.3f}{mark}"
        extremes = (f"{bound(row['rounds']):.2f}" for bound in (min, max))
        work = "matrix products" if own else f"training, {row['net']}"
        table.add_row(work, row["dtype"], f"{row['scaling']:.3f}", *extremes, share)
    console.print(table)
    console.print(f"medians over the rounds; target: at least {TARGET} of the gain of matrix products")
