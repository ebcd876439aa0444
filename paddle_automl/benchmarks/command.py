"""The command `benchmark`: one subcommand for each kind of measurement."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

from paddle_automl.core.errors import AutoMLError

SUMMARY = "Measure the claims of this project on this machine."
PARTS = {
    "search": "search.command",
    "schedulers": "search.schedulers",
    "grids": "search.grids",
    "defaults": "search.defaults",
    "overhead": "search.overhead",
    "compression": "compression.command",
    "deadlines": "deadlines.command",
    "accuracy": "accuracy.command",
    "kills": "kills.command",
    "training": "training.command",
    "runtime": "training.settings",
    "loop": "training.loop_overhead",
    "precision": "training.accuracy",
    "scaling": "training.scaling",
    "startup": "training.startup",
    "serving": "serving.command",
    "predictor": "predictor.command",
}
"""Module of each subcommand; its `add_arguments` adds a parser whose `run` does the work."""


def main(argv: Sequence[str] | None = None, name: str = "benchmark") -> int:
    """Run the command; return its exit code."""
    words = sys.argv[1:] if argv is None else list(argv)
    parser = argparse.ArgumentParser(prog=name, description=SUMMARY)
    commands = parser.add_subparsers(dest="what", required=True)
    # Some of them import Paddle, so only the requested one is imported; all for the help text.
    for part in words[:1] if words[:1] and words[0] in PARTS else PARTS:
        import_module(f"paddle_automl.benchmarks.{PARTS[part]}").add_arguments(commands)
    args = parser.parse_args(words)
    try:
        args.run(args)
    except AutoMLError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; with --json finished runs are kept, and the same command continues\n")
        return 130
    return 0
