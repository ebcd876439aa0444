"""The command `benchmark training`: images per second of this project, of Paddle and of PyTorch."""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console

from paddle_automl.benchmarks.training.crew import Figures, Member, Variant, crew, take_turns
from paddle_automl.benchmarks.training.tables import print_speeds
from paddle_automl.benchmarks.training.workloads import WORKLOADS
from paddle_automl.core.errors import ConfigError
from paddle_automl.core.files import write_json
from paddle_automl.core.runtime import MALLOC, SETTINGS, processor_name

SUMMARY = "Compare training steps with Paddle and PyTorch: images per CPU-second of one thread, interleaved."
VARIANTS = {
    "paddle": Variant("paddle"),
    "paddle-lean": Variant("project", settings=SETTINGS, kernels=False),
    "project": Variant("project", settings=SETTINGS),
    "project-bf16": Variant("project", "bfloat16", settings=SETTINGS),
    "torch": Variant("torch"),
    "torch-malloc": Variant("torch", settings=(MALLOC,)),
    "torch-bf16": Variant("torch", "bfloat16"),
    "torch-bf16-malloc": Variant("torch", "bfloat16", settings=(MALLOC,)),
}
MEANINGS = {
    "paddle": "Paddle as installed, networks and loop as in its tutorials",
    "paddle-lean": "this project's networks, learner and process settings, Paddle's operators",
    "project": "this project, float32",
    "project-bf16": "this project, training.amp.dtype bfloat16",
    "torch": "PyTorch, channels last, float32, as installed",
    "torch-malloc": "the same with this project's malloc setting",
    "torch-bf16": "PyTorch, channels last, bfloat16 by autocast, as installed",
    "torch-bf16-malloc": "the same with this project's malloc setting",
}


def add_arguments(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command's parser; its `run` does the work."""
    variants = "\n".join(f"  {name}: {meaning}" for name, meaning in MEANINGS.items())
    training = commands.add_parser(
        "training",
        help=SUMMARY,
        description=SUMMARY,
        epilog=f"variants:\n{variants}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_common_arguments(training, rounds=7)
    training.add_argument(
        "--variants",
        default="all",
        help="comma-separated variants (default: all; those of torch where it is found)",
    )
    training.add_argument(
        "--torch", metavar="PYTHON", help="interpreter that has PyTorch and NumPy (default: this one, if it has)"
    )
    training.set_defaults(run=_training)


def add_common_arguments(parser: argparse.ArgumentParser, *, rounds: int) -> None:
    """Add the arguments that all comparisons of training steps have."""
    parser.add_argument("--nets", default="all", help=f"comma-separated networks out of {', '.join(WORKLOADS)}")
    parser.add_argument("--rounds", type=int, default=rounds, help=f"turns of each variant (default: {rounds})")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all results to FILE")


def networks_of(args: argparse.Namespace) -> list[str]:
    """Return the requested networks; raises ConfigError for unknown ones and for no rounds."""
    if args.rounds < 1:
        raise ConfigError(f"--rounds: must be at least 1, got {args.rounds}")
    return chosen("--nets", args.nets, list(WORKLOADS))


def chosen(option: str, text: str, valid: Sequence[str]) -> list[str]:
    """Return the words of a comma-separated option; raises ConfigError for one that is not `valid`."""
    words = list(valid) if text == "all" else [word for word in text.split(",") if word]
    wrong = [word for word in words if word not in valid]
    if wrong or not words:
        raise ConfigError(f"{option}: must be all or some of {', '.join(valid)}, got '{text}'")
    return words


def tell(text: str) -> None:
    """Show the progress, on one line that is overwritten."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{text}")
        sys.stderr.flush()


def screen() -> Console:
    """Return the console for tables."""
    return Console(width=None if sys.stdout.isatty() else 160, highlight=False)


def _training(args: argparse.Namespace) -> None:
    networks = networks_of(args)
    variants = _variants(args)
    rooflines: dict[str, list[float]] = {"float32": [], "bfloat16": []}
    with crew(variants) as members:
        about = {name: member.ask("about") for name, member in members.items()}
        measurer = next((m for name, m in members.items() if name.startswith("project")), None)

        def each_round(_: int) -> None:
            if measurer is not None:
                _add_roofline(measurer, rooflines)

        figures = take_turns(members, networks, args.rounds, each_round=each_round, tell=tell)
    tell("")
    peak = {dtype: median(values) for dtype, values in rooflines.items() if values}
    record = _record(figures, variants, about, peak)
    if args.json is not None:
        write_json(args.json, record)
    print_speeds(screen(), record)


def _variants(args: argparse.Namespace) -> dict[str, Variant]:
    names = chosen("--variants", args.variants, list(VARIANTS))
    python = args.torch or sys.executable
    wanted = [name for name in names if VARIANTS[name].framework == "torch"]
    if wanted and not _has_torch(python):
        if args.torch or args.variants != "all":
            raise ConfigError(
                f"--torch: {python} cannot import torch and numpy; give the interpreter of an environment with both"
            )
        screen().print(
            "PyTorch is not installed here; --torch PYTHON names an interpreter that has it", style="dim"
        )
        names = [name for name in names if name not in wanted]
    found = {name: VARIANTS[name] for name in names}
    return {
        name: Variant("torch", v.dtype, v.settings, python=python) if v.framework == "torch" else v
        for name, v in found.items()
    }


def _has_torch(python: str) -> bool:
    try:
        run = subprocess.run([python, "-c", "import numpy, torch"], capture_output=True, check=False)
    except OSError:
        return False
    return run.returncode == 0


def _add_roofline(member: Member, rooflines: dict[str, list[float]]) -> None:
    """Measure the peak once more; the faster of product and convolution is the roofline."""
    for dtype, kinds in member.ask("roofline", dtypes=list(rooflines))["gflops"].items():
        if kinds:
            rooflines[dtype].append(max(kinds.values()))


def _record(
    figures: Mapping[str, Mapping[str, Figures]],
    variants: Mapping[str, Variant],
    about: Mapping[str, Mapping[str, Any]],
    peak: Mapping[str, float],
) -> dict[str, Any]:
    """Return all results that are printed or written."""
    networks: dict[str, Any] = {}
    for network, of_variants in figures.items():
        workload = WORKLOADS[network]
        speeds = {}
        for name, found in of_variants.items():
            roof = peak.get(variants[name].dtype)
            speeds[name] = found.as_dict()
            if roof:
                speeds[name]["roofline_share"] = found.speed * workload.mflop / 1000 / roof
            if "paddle" in of_variants:
                speeds[name]["over_paddle"] = found.speed / of_variants["paddle"].speed
        networks[network] = {
            "title": workload.title, "batch": workload.batch, "mflop": workload.mflop, "variants": speeds,
        }  # fmt: skip
    return {
        "processor": processor_name(),
        "roofline_gflops": dict(peak),
        "variants": {name: {**about[name], "meaning": MEANINGS[name]} for name in variants},
        "networks": networks,
    }
