"""The command `benchmark deadlines`: whether whole searches end within their time budget."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path

from paddle_automl.benchmarks.deadlines.cases import cases
from paddle_automl.benchmarks.deadlines.measure import measure
from paddle_automl.benchmarks.deadlines.report import misses, print_figures
from paddle_automl.benchmarks.kept import Kept
from paddle_automl.benchmarks.training.command import screen, tell
from paddle_automl.core.errors import SearchFailedError

SUMMARY = "Run whole searches with a time budget: when they end, and which bundle they leave."
DESCRIPTION = """Digits and your own photos with several budgets, and one search of a minute in which a trial hangs.
The machine should be idle. With --json results are kept, and searches that are already there are not run again."""


def add_arguments(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command's parser; its `run` does the work."""
    parser = commands.add_parser("deadlines", help=SUMMARY, description=f"{SUMMARY} {DESCRIPTION}")
    parser.add_argument(
        "--photos",
        type=Path,
        metavar="DIR",
        help="also search on photos: a folder with a folder per class",
    )
    parser.add_argument("--quick", action="store_true", help="only the searches of one minute")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all results to FILE")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> None:
    wanted = cases(args.photos, args.quick)
    kept = Kept.load(args.json, "deadlines")
    found = []
    for number, case in enumerate(wanted, start=1):
        tell(f"{case.name}, {case.budget_s} s ({number} of {len(wanted)})")
        # By what its configuration says now, too.
        asked = {**asdict(case), "content": case.content}
        figures = kept.get(asked)
        if figures is None:
            figures = measure(case)
            kept.put(asked, figures)
        found.append((case, figures))
    tell("")
    missed = {f"{case.name}, {case.budget_s} s": misses(case, figures) for case, figures in found}
    kept.save({"missed": missed})
    print_figures(screen(), found)
    late = sum(bool(found) for found in missed.values())
    if late:
        raise SearchFailedError(f"{late} of {len(missed)} searches missed a requirement")
