"""The command `benchmark`: one subcommand for each kind of figure."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from paddle_automl.benchmarks.compression import command as compression
from paddle_automl.benchmarks.search import command as search
from paddle_automl.benchmarks.search import overhead, schedulers
from paddle_automl.benchmarks.training import accuracy, loop_overhead, scaling, settings, startup
from paddle_automl.benchmarks.training import command as training
from paddle_automl.core.errors import AutoMLError

SUMMARY = "Measure on this machine what this project claims."


def main(argv: Sequence[str] | None = None, name: str = "benchmark") -> int:
    """Run the command; return its exit code."""
    parser = argparse.ArgumentParser(prog=name, description=SUMMARY)
    commands = parser.add_subparsers(dest="what", required=True)
    for part in (
        search,
        schedulers,
        overhead,
        compression,
        training,
        settings,
        loop_overhead,
        accuracy,
        scaling,
        startup,
    ):
        part.add_arguments(commands)
    args = parser.parse_args(argv)
    try:
        args.run(args)
    except AutoMLError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; with --json the runs that ended are kept, the same command continues\n")
        return 130
    return 0
