"""Compress a trained run into smaller and faster bundles, each measured."""

from __future__ import annotations

import argparse
from pathlib import Path

from paddle_automl.cli.common import NOT_AS_DEMANDED, OK, add_config_arguments, console, main_of, overrides_of

SUMMARY = "Compress a trained run (prune, quantize, distill) and keep only what is measured smaller or faster."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_config_arguments(parser)
    parser.add_argument("-m", "--model", required=True, metavar="PATH", help="a run, a trial or a search's output")
    parser.add_argument("--to", metavar="FOLDER", help="folder of the bundles (default: PATH/compressed)")


def run(args: argparse.Namespace) -> int:
    """Compress; exit code 1 if no step was kept or a bundle is not verified."""
    from rich.table import Table

    from paddle_automl.core.loading import load_config
    from paddle_automl.pipeline.compressing import CompressFile, compress_run

    config = load_config(CompressFile, args.config, overrides_of(args))
    outcome = compress_run(config, Path(args.model), Path(args.to) if args.to else None)
    keys = list(dict.fromkeys(key for row in outcome.table for key in row))
    keys = [key for key in keys if key not in ("kept", "why")] + ["kept"]
    table = Table(title="compression, on the validation part; times are p50/p95, speed-up over float32 before")
    for key in keys:
        table.add_column(key)
    for row in outcome.table:
        table.add_row(*(row.get(key, "") for key in keys))
    screen = console()
    screen.print(table)
    for link in outcome.links[1:]:
        screen.print(f"{link['name']}: {'kept' if link['kept'] else 'rejected'}: {link['reason']}")
    for bundle in outcome.bundles:
        screen.print(f"{bundle['bundle']}: {bundle['size_mb']:.3f} MB, {bundle['parity_summary']}")
    if outcome.best is None:
        screen.print("no step was kept: the network before compression stays the best")
        return NOT_AS_DEMANDED
    screen.print(f"best: {outcome.best}")
    return OK if all(bundle["verified"] for bundle in outcome.bundles) else NOT_AS_DEMANDED


main = main_of(add_arguments, run)
