"""Compress a trained run into smaller and faster bundles, each measured."""

from __future__ import annotations

import argparse
from pathlib import Path

from paddle_automl.cli.common import NOT_AS_DEMANDED, OK, add_config_arguments, main_of, overrides_of, work_console
from paddle_automl.core.display_text import shown
from paddle_automl.core.streams import complain
from paddle_automl.pipeline.jobs import warmup

SUMMARY = "Compress a trained run (prune, quantize, distill) and keep only what is measured smaller or faster."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_config_arguments(parser)
    parser.add_argument("-m", "--model", required=True, metavar="PATH", help="a run, a trial or a search's output")
    parser.add_argument("--to", metavar="FOLDER", help="folder of the bundles (default: PATH/compressed)")


def run(args: argparse.Namespace) -> int:
    """Compress; exit code 1 if no step was kept or a bundle is not verified."""
    warmup.begin()
    from paddle_automl.cli.results import print_compression
    from paddle_automl.core.loading import load_config
    from paddle_automl.pipeline.commands import CompressFile, compress_run
    from paddle_automl.pipeline.progress.display import Display

    config, screen = load_config(CompressFile, args.config, overrides_of(args)), work_console()
    target = Path(args.to) if args.to else None
    outcome = compress_run(config, Path(args.model), target, Display.of_job(screen))
    for note in outcome.notes:
        complain(f"note: {shown(note)}")
    print_compression(screen, outcome)
    if outcome.best_bundle is None:
        return NOT_AS_DEMANDED
    return OK if all(bundle.verified for bundle in outcome.bundles) else NOT_AS_DEMANDED


main = main_of(add_arguments, run)
