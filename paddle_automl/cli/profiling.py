"""The option `--profile` of the command `predict`."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from paddle_automl.core.display_text import shown


def show_profile(bundle: Path, args: argparse.Namespace, texts: Sequence[str] | None) -> None:
    """Print where the time of predicting the items goes; on standard error if JSON goes to standard output.

    `texts` are the items where tables were given.
    """
    from paddle_automl.deployment.predictor import Predictor
    from paddle_automl.deployment.profiling import profile

    started = time.perf_counter()
    predictor = Predictor(
        bundle, device=args.device, threads=args.threads, runtime=args.runtime, reject=not args.no_unknown
    )
    load_ms = (time.perf_counter() - started) * 1000
    sources: list[Any] = list(predictor.input.find(args.items)) if texts is None else list(texts)
    found = profile(predictor, sources, threads=args.threads, batch_size=args.batch_size, load_ms=load_ms)
    lines = [shown(line) for line in found.table().splitlines()]
    print("\n".join([*lines, ""]), file=sys.stderr if args.json == "-" else sys.stdout)
