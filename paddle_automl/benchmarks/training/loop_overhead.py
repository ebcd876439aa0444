"""The command `benchmark loop`: the training loop's overhead over forward, backward and optimizer."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from paddle_automl.benchmarks.training.command import chosen, screen, tell
from paddle_automl.benchmarks.training.pool import executor
from paddle_automl.core.errors import ConfigError
from paddle_automl.core.files import write_json
from paddle_automl.core.runtime import processor_name
from paddle_automl.search.executors.base import Job, run_job

SUMMARY = "Compare the whole training loop with the bare step: CPU time of one thread, interleaved."
DESCRIPTION = """The loop: data, augmentation, moving average, clipping, validation, metrics, files. The bare step:
forward, backward and optimizer on a fixed batch, and forward for the validation images."""
NETS = ("cnn", "resnet18", "small")
DTYPES = ("float32", "bfloat16")
TARGET = 0.08
JOB = "paddle_automl.benchmarks.training.loop_job:run"
PARTS = {
    "batches": "gather and normalize the images",
    "augmentation": "random crop and flip",
    "tensors": "from NumPy to Paddle",
    "rate": "set the learning rate",
    "clipping": "norm of all gradients",
    "average": "moving average of the weights",
    "scores": "probabilities and metrics of the validation images",
    "files": "write the epoch's line, copy and write the best weights",
}


@dataclass(frozen=True)
class LoopRequest:
    """Request of the measured process: epochs of one network in one type; files go to `folder`."""

    net: str
    dtype: str
    rounds: int
    folder: Path


def add_arguments(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command's parser; its `run` does the work."""
    parts = "\n".join(f"  {name}: {meaning}" for name, meaning in PARTS.items())
    loop = commands.add_parser(
        "loop",
        help=SUMMARY,
        description=f"{SUMMARY}\n\n{DESCRIPTION}",
        epilog=f"parts:\n{parts}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    loop.add_argument("--nets", default="all", help=f"comma-separated networks out of {', '.join(NETS)}")
    loop.add_argument("--dtypes", default="all", help=f"comma-separated types out of {', '.join(DTYPES)}")
    loop.add_argument(
        "--rounds", type=int, default=7, help="epochs of the loop, each followed by bare steps (default: 7)"
    )
    loop.add_argument("--json", type=Path, metavar="FILE", help="write all results to FILE")
    loop.set_defaults(run=_loop)


def _loop(args: argparse.Namespace) -> None:
    if args.rounds < 1:
        raise ConfigError(f"--rounds: must be at least 1, got {args.rounds}")
    nets, dtypes = chosen("--nets", args.nets, NETS), chosen("--dtypes", args.dtypes, DTYPES)
    found: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder, executor(1) as pool:
        for net in nets:
            for dtype in dtypes:
                tell(f"{net}, {dtype}: {args.rounds} rounds")
                request = LoopRequest(net, dtype, args.rounds, Path(folder))
                figures = run_job(pool, Job(JOB, request, Path(folder) / "log"))
                if figures["precision"] == dtype:
                    found.append({"net": net, "dtype": dtype, **summary_of(figures)})
                else:
                    screen().print(f"{net}: this processor does not compute in {dtype}", style="dim")
    tell("")
    if args.json is not None:
        write_json(args.json, {"processor": processor_name(), "target": TARGET, "loops": found})
    print_overheads(screen(), found)


def summary_of(figures: Mapping[str, Any]) -> dict[str, Any]:
    """Return medians over the rounds: the loop's overhead, and each phase's fraction of the bare time."""
    ratios = [loop / bare for loop, bare in zip(figures["loop_s"], figures["bare_s"], strict=True)]
    bare = median(figures["bare_s"])
    parts = {name: median(seconds) / bare for name, seconds in figures["parts_s"].items()}
    overhead = median(ratios) - 1
    return {
        "title": figures["title"],
        "bare_step_ms": 1000 * median(figures["bare_step_s"]),
        "overhead": overhead,
        "parts": parts,
        "rest": overhead - sum(parts.values()),
        "rounds": figures,
    }


def print_overheads(console: Console, found: Sequence[Mapping[str, Any]]) -> None:
    """Print a line per network and type."""
    table = Table(title="whole loop over bare step, CPU time", title_justify="left")
    for name in ("network", "type", "bare step ms", "loop / bare", *PARTS, "rest"):
        table.add_column(name, justify="left" if name in ("network", "type") else "right")
    for row in found:
        kept = "" if row["overhead"] <= TARGET else " !"
        parts = [f"{100 * row['parts'][name]:.1f}%" for name in PARTS]
        table.add_row(
            row["title"], row["dtype"], f"{row['bare_step_ms']:.1f}", f"{1 + row['overhead']:.3f}{kept}", *parts,
            f"{100 * row['rest']:.1f}%",
        )  # fmt: skip
    console.print(table)
    console.print(f"target: at most {1 + TARGET:.2f}; percentages of the bare time; rest: unattributed, and noise")
