"""The command `benchmark kills`: whether the same command recovers a search that is killed at any time."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

from paddle_automl.benchmarks.kept import Kept
from paddle_automl.benchmarks.kills.report import markdown
from paddle_automl.benchmarks.kills.rounds import Reference, killed_round, reference, workers_of
from paddle_automl.benchmarks.kills.search import PHASES, VICTIMS
from paddle_automl.benchmarks.training.command import tell
from paddle_automl.core.errors import SearchFailedError

SUMMARY = "Kill whole searches at random times: whether the same command recovers all of them."
DESCRIPTION = """Each round kills the search, one worker, the process that starts workers, or all of them, in one of
its phases, with one or two workers, and runs the same command again. It fails (exit code 2) unless every round ends
with a verified bundle, unchanged finished trials, the same weights with one worker, and nothing left behind. With
--json the rounds are kept, and one that is found there is not run again."""


def add_arguments(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command's parser; its `run` does the work."""
    parser = commands.add_parser("kills", help=SUMMARY, description=f"{SUMMARY} {DESCRIPTION}")
    all_of_them = len(PHASES) * len(VICTIMS)
    parser.add_argument(
        "--rounds", type=int, default=100, metavar="N", help=f"rounds (100; any {all_of_them} cover all phases)"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="number of the first round (0)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rounds to FILE")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> None:
    kept = Kept.load(args.json, "kills")
    known: dict[int, Reference] = {}
    rounds: list[dict[str, Any]] = []
    folder = Path(tempfile.mkdtemp(prefix="kills-"))
    for seed in range(args.seed, args.seed + args.rounds):
        workers = workers_of(seed)
        figures = kept.get({"seed": seed, "workers": workers})
        if figures is None:
            tell(f"round {seed}: {len(rounds)} of {args.rounds} are done")
            if workers not in known:
                known[workers] = reference(folder / f"reference-{workers}", workers)
            figures = killed_round(folder / f"round-{seed}", seed, workers, known[workers])
            kept.put({"seed": seed, "workers": workers}, figures)
        rounds.append(figures)
    tell("")
    faulty = [figures for figures in rounds if figures["wrong"]]
    kept.save({"rounds": len(rounds), "faulty": len(faulty)})
    sys.stdout.write(markdown(rounds))
    if faulty:
        raise SearchFailedError(f"{len(faulty)} of {len(rounds)} rounds have faults; see {folder}")
