"""The command `benchmark startup`: the time of a trial before its first step."""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from paddle_automl.benchmarks.training.command import screen, tell
from paddle_automl.benchmarks.training.pool import executor
from paddle_automl.core.errors import ConfigError
from paddle_automl.core.files import write_json
from paddle_automl.core.loading import load_config, validate
from paddle_automl.core.runtime import processor_name
from paddle_automl.pipeline.config import RunConfig
from paddle_automl.pipeline.runs.trials import standalone
from paddle_automl.search.executors.base import Job, run_job

SUMMARY = "Measure the time of a trial from its start to its first step, by phase."
TARGET_S = 1.0
JOB = "paddle_automl.benchmarks.training.startup_job:run"
PARTS = {
    "process": "fork from the server that has Paddle imported",
    "settings": "log, threads, device",
    "data": "map the decoded images that an earlier trial stored",
    "network": "build and initialize it",
    "costs": "parameters and operations",
    "recipe": "loss, optimizer, first batch",
    "first step": "with the fast layers' self-test",
}


def add_arguments(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command's parser; its `run` does the work."""
    parts = "\n".join(f"  {name}: {meaning}" for name, meaning in PARTS.items())
    startup = commands.add_parser(
        "startup",
        help=SUMMARY,
        description=SUMMARY,
        epilog=f"parts:\n{parts}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    startup.add_argument("-c", "--config", type=Path, metavar="FILE", help="a configuration (default: digits)")
    startup.add_argument(
        "-o", "--set", action="append", default=[], metavar="KEY=VALUE", help="change one key of the configuration"
    )
    startup.add_argument("--rounds", type=int, default=5, help="trials after the first one (default: 5)")
    startup.add_argument("--json", type=Path, metavar="FILE", help="write all results to FILE")
    startup.set_defaults(run=_startup)


def _startup(args: argparse.Namespace) -> None:
    if args.rounds < 1:
        raise ConfigError(f"--rounds: must be at least 1, got {args.rounds}")
    config = _config(args)
    trials: list[dict[str, tuple[float, float]]] = []
    with tempfile.TemporaryDirectory() as folder, executor(1, Path(folder)) as pool:
        trial = validate(RunConfig, standalone(config, Path(folder)))
        for number in range(args.rounds + 1):
            tell(f"trial {number} of {args.rounds}")
            started = time.time()
            marks = run_job(pool, Job(JOB, trial, Path(folder) / "log", plugins=config.plugins))["marks"]
            times = [(started, 0.0), *marks]
            spent = [(after[0] - before[0], after[1] - before[1]) for before, after in pairwise(times)]
            trials.append(dict(zip(PARTS, spent, strict=True)))
    tell("")
    if args.json is not None:
        write_json(args.json, {"processor": processor_name(), "target_s": TARGET_S, "trials": trials})
    print_startup(screen(), trials)


def _config(args: argparse.Namespace) -> RunConfig:
    wrong = [word for word in args.set if "=" not in word]
    if wrong:
        raise ConfigError(f"-o: must be KEY=VALUE, got '{wrong[0]}'")
    overrides = dict(word.split("=", 1) for word in args.set)
    if args.config is None:
        if overrides:
            raise ConfigError("-o: changes a key of a configuration; name one with -c FILE")
        return RunConfig()
    return load_config(RunConfig, args.config, overrides=overrides)


def print_startup(console: Console, trials: Sequence[Mapping[str, tuple[float, float]]]) -> None:
    """Print the phases of the first trial, which waits for imports and decodes, and the median of the others.

    For each phase: wall-clock seconds, and CPU seconds, which depend less on other load.
    """
    table = Table(title="from the start of a trial to the end of its first step, ms", title_justify="left")
    for name in ("", "first trial", "later trials", "their CPU time"):
        table.add_column(name, justify="right" if name else "left")
    rows = {name: [trial[name] for trial in trials] for name in PARTS}
    rows["together"] = [(sum(t[0] for t in trial.values()), sum(t[1] for t in trial.values())) for trial in trials]
    for name, spent in rows.items():
        if name == "together":
            table.add_section()
        clock, cpu = (1000 * median(one[kind] for one in spent[1:]) for kind in (0, 1))
        table.add_row(name, f"{1000 * spent[0][0]:.0f}", f"{clock:.0f}", f"{cpu:.0f}")
    console.print(table)
    console.print(
        f"wall-clock time; target: under {1000 * TARGET_S:.0f} for later trials; the first one waits for the import"
    )
