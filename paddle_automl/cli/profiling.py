"""The option `--profile` of the command `predict`."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

from paddle_automl.core.display_text import shown


def show_profile(bundle: Path, args: argparse.Namespace) -> None:
    """Print where the time of predicting the items goes; on standard error if JSON goes to standard output."""
    from paddle_automl.cli.tables import are_tables, predicted_tables
    from paddle_automl.deployment.predictor import Predictor
    from paddle_automl.deployment.profiling import profile

    def fresh() -> Predictor:
        return Predictor(
            bundle,
            device=args.device,
            threads=args.threads,
            runtime=args.runtime,
            reject=not args.no_unknown,
        )

    started = time.perf_counter()
    predictor = fresh()
    load_ms = (time.perf_counter() - started) * 1000
    sources: list[Any]
    if args.text or are_tables(args.items):
        _, sources, _ = predicted_tables(fresh(), args.items, args.text, batch_size=args.batch_size)
    else:
        sources = list(predictor.input.find(args.items))
    found = profile(predictor, sources, threads=args.threads, batch_size=args.batch_size, load_ms=load_ms)
    lines = [shown(line) for line in found.table().splitlines()]
    print("\n".join([*lines, ""]), file=sys.stderr if args.json == "-" else sys.stdout)
