"""The command `benchmark compression`: costs and gains of pruning, 8 bits and the whole chain."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rich.console import Console

from paddle_automl.benchmarks.compression.measure import Figures
from paddle_automl.benchmarks.compression.plan import NETWORKS, Plan
from paddle_automl.benchmarks.compression.report import print_figures, requirements
from paddle_automl.deployment.exporters.onnx import OnnxExporter

SUMMARY = (
    "Train a named network, prune, quantize and distill it, and print accuracy, size and time, in ONNX Runtime "
    "too if the extra `onnx` is installed."
)
DATASETS = ("digits", "fashion_mnist")


def add_arguments(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command's parser; its `run` does the work."""
    parser = commands.add_parser("compression", help=SUMMARY, description=SUMMARY)
    parser.add_argument(
        "--net", choices=[*NETWORKS, "all"], default="all", help="resnet, mobilenet or all (default: all)"
    )
    parser.add_argument("--dataset", choices=[*DATASETS, "all"], default="digits", help="(default: digits)")
    parser.add_argument("--data", type=Path, metavar="DIR", help="folder of the idx files of Fashion-MNIST")
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("output/benchmark_compression"),
        metavar="DIR",
        help="folder of the networks and bundles (default: output/benchmark_compression)",
    )
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="write results to FILE; those already there are kept"
    )
    parser.add_argument("--quick", action="store_true", help="few images and epochs, to check that it runs")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> None:
    networks = list(NETWORKS) if args.net == "all" else [args.net]
    datasets = list(DATASETS) if args.dataset == "all" else [args.dataset]
    formats = () if OnnxExporter.missing() else ("onnx",)
    plans = [Plan(net, data, args.output, args.data, args.quick, formats) for data in datasets for net in networks]
    for plan in plans:
        plan.prepare()
    figures = Figures(args.json)
    console = Console(width=None if sys.stdout.isatty() else 200, highlight=False)
    for plan in plans:
        print_figures(console, figures.measure(plan, _tell))
    figures.save({key: list(map(str, requirements(found))) for key, found in figures.plans.items()})


def _tell(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
