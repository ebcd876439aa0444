"""Show where the time of a training step goes."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from paddle_automl.cli.common import OK, add_config_arguments, console, main_of, overrides_of

SUMMARY = "Profile training steps of a configuration: time by phase, operator and layer."
LAYERS_SHOWN = 15


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_config_arguments(parser)
    parser.add_argument("--steps", type=int, default=30, help="number of profiled steps (default: 30)")
    parser.add_argument("--layers", type=int, default=LAYERS_SHOWN, help="number of layers listed (default: 15)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all measurements to FILE")


def run(args: argparse.Namespace) -> int:
    """Measure and print."""
    from paddle_automl.benchmarks.step_profile import profile_step
    from paddle_automl.core.errors import ConfigError
    from paddle_automl.core.files import write_json
    from paddle_automl.core.loading import load_config
    from paddle_automl.core.paths import located
    from paddle_automl.pipeline.config import RunConfig

    if args.steps < 1:
        raise ConfigError(f"--steps: must be at least 1, got {args.steps}")
    record = profile_step(load_config(RunConfig, located(args.config), overrides_of(args)), args.steps)
    if args.json is not None:
        write_json(args.json, record)
    _print(console(), record, args.layers)
    return OK


def _print(screen: Console, record: Mapping[str, Any], count: int) -> None:
    batch, step, measured = record["batch_size"], record["step_ms"], record["measured_step_ms"]
    shapes = ", ".join(f"{name} {shape}" for name, shape in record["inputs"].items())
    whose = "fast layers" if record["fast_layers"] else "Paddle's operators"
    screen.print(f"{record['processor']}, one thread; {batch} items of {shapes}, {record['precision']}, {whose}")
    gflop = sum(layer["gflop"] for layer in record["layers"])
    share = gflop / step * 1000 / record["roofline_gflops"]
    screen.print(
        f"a step: {step:.2f} ms of CPU time, {1000 * batch / step:.0f} {record['word']}s per CPU-second; "
        f"{gflop:.2f} GFLOP in convolutions and linear layers: {share:.0%} of the "
        f"{record['roofline_gflops']:.0f} GFLOP/s seen here"
    )
    total = sum(record["parts_ms"].values())
    screen.print(
        f"the profiled steps below took {measured:.2f} ms each; their phases add up to {total:.2f} ms", style="dim"
    )
    parts = Table(title="phases of a step", title_justify="left")
    for title in ("part", "ms", "share"):
        parts.add_column(title, justify="left" if title == "part" else "right")
    for name, spent in record["parts_ms"].items():
        parts.add_row(name, f"{spent:.2f}", f"{spent / total:.1%}")
    screen.print(parts)
    kinds: dict[str, dict[str, float]] = {}
    for layer in record["layers"]:
        row = kinds.setdefault(layer["kind"], {"forward_ms": 0.0, "backward_ms": 0.0, "gflop": 0.0})
        for key in row:
            row[key] += layer[key]
    ordered = sorted(kinds.items(), key=lambda item: -item[1]["forward_ms"] - item[1]["backward_ms"])
    screen.print(_table("forward and backward by kind of layer", ordered, total, record["roofline_gflops"]))
    named = [(f"{layer['layer']} ({layer['kind']})", layer) for layer in record["layers"][:count]]
    screen.print(_table("slowest layers", named, total, record["roofline_gflops"]))


def _table(title: str, rows: list[tuple[str, Any]], total: float, peak: float) -> Table:
    table = Table(title=title, title_justify="left")
    for name in ("", "forward, ms", "backward, ms", "fraction of the step", "fraction of the roofline"):
        table.add_column(name, justify="right" if name else "left")
    for name, row in rows:
        spent = row["forward_ms"] + row["backward_ms"]
        roof = f"{row['gflop'] / spent * 1000 / peak:.0%}" if row["gflop"] and spent else ""
        table.add_row(name, f"{row['forward_ms']:.2f}", f"{row['backward_ms']:.2f}", f"{spent / total:.1%}", roof)
    return table


main = main_of(add_arguments, run)
