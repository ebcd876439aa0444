"""The command `benchmark runtime`: the gain of each setting of `core.runtime`, alone and together."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from paddle_automl.benchmarks.training.command import add_common_arguments, networks_of, screen, tell
from paddle_automl.benchmarks.training.crew import Figures, Member, Variant, crew, take_turns
from paddle_automl.benchmarks.training.workloads import WORKLOADS
from paddle_automl.core.files import write_json
from paddle_automl.core.runtime import MALLOC, MKL_VARIABLE, SETTINGS, processor_name

SUMMARY = "Measure the gain of each process setting for training on a CPU, interleaved."
PATHS = {"paddle": False, "fast": True}
"""Names of the variants, and whether the fast layers are on."""
CHOICES: dict[str, tuple[str, ...]] = {
    "none": (),
    "KMP_BLOCKTIME": ("KMP_BLOCKTIME",),
    MKL_VARIABLE: (MKL_VARIABLE,),
    MALLOC: (MALLOC,),
    "all": SETTINGS,
}
IDLE_SECONDS = 0.4


def add_arguments(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command's parser; its `run` does the work."""
    runtime = commands.add_parser("runtime", help=SUMMARY, description=SUMMARY)
    add_common_arguments(runtime, rounds=3)
    runtime.set_defaults(run=_runtime)


def _runtime(args: argparse.Namespace) -> None:
    networks = networks_of(args)
    variants = {
        f"{path}, {choice}": Variant("project", settings=settings, kernels=kernels)
        for path, kernels in PATHS.items()
        for choice, settings in CHOICES.items()
    }
    idle: dict[str, list[float]] = {choice: [] for choice in CHOICES}
    with crew(variants) as members:
        set_here = {name: member.ask("about")["settings"] for name, member in members.items()}

        def each_round(_: int) -> None:
            _add_idle(members, idle)

        figures = take_turns(members, networks, args.rounds, each_round=each_round, tell=tell)
    tell("")
    record = _record(figures, {choice: 1000 * median(spent) for choice, spent in idle.items()}, set_here)
    if args.json is not None:
        write_json(args.json, record)
    _print(screen(), record)


def _add_idle(members: Mapping[str, Member], idle: Mapping[str, list[float]]) -> None:
    for choice, spent in idle.items():
        spent.append(members[f"paddle, {choice}"].ask("idle", seconds=IDLE_SECONDS)["cpu_s"])


def _record(
    figures: Mapping[str, Mapping[str, Figures]], idle: Mapping[str, float], set_here: Mapping[str, Any]
) -> dict[str, Any]:
    """Return all results that are printed or written."""
    networks = {}
    for network, of_variants in figures.items():
        speeds = {}
        for name, found in of_variants.items():
            path, _, _ = name.partition(", ")
            gain = found.speed / of_variants[f"{path}, none"].speed
            speeds[name] = {**found.as_dict(), "over_none": gain}
        workload = WORKLOADS[network]
        networks[network] = {"title": workload.title, "batch": workload.batch, "variants": speeds}
    return {
        "processor": processor_name(),
        "set": {choice: set_here[f"paddle, {choice}"] for choice in CHOICES},
        "idle_cpu_ms": dict(idle),
        "idle_seconds": IDLE_SECONDS,
        "networks": networks,
    }


def _print(console: Console, record: Mapping[str, Any]) -> None:
    console.print(f"{record['processor']}; one thread")
    for name, value in record["set"]["all"].items():
        console.print(f"  {name}: {value}", style="dim")
    missing = [name for name in CHOICES if name in SETTINGS and name not in record["set"]["all"]]
    if missing:
        console.print(f"  not set on this machine: {', '.join(missing)}", style="dim")
    console.print("\nimages per CPU-second of a training step in float32, and the ratio to no setting")
    grid = Table()
    grid.add_column("layers, setting")
    for network in record["networks"].values():
        grid.add_column(network["title"], justify="right")
    for name in next(iter(record["networks"].values()))["variants"]:
        speeds = [network["variants"][name] for network in record["networks"].values()]
        grid.add_row(name, *(f"{s['images_per_cpu_second']:.4g} ({s['over_none']:.2f})" for s in speeds))
    console.print(grid)
    spent = ", ".join(f"{choice} {value:.0f}" for choice, value in record["idle_cpu_ms"].items())
    console.print(
        f"CPU-milliseconds in {record['idle_seconds']:g} s of idleness after a product by two threads: {spent}"
    )
