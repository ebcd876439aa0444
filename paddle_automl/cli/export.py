"""Export a trained run or trial to a Paddle Inference bundle and compare the two."""

from __future__ import annotations

import argparse
from pathlib import Path

from paddle_automl.cli.common import OK, main_of, work_console
from paddle_automl.core.display_text import shown
from paddle_automl.core.errors import ParityError
from paddle_automl.core.streams import complain
from paddle_automl.pipeline.jobs import warmup

SUMMARY = "Export a trained run or trial to a Paddle Inference bundle and check that it predicts the same."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("-m", "--model", required=True, metavar="PATH", help="a run or a trial folder")
    parser.add_argument("--to", metavar="FOLDER", help="folder of the bundle (default: PATH/model)")
    parser.add_argument(
        "--formats",
        metavar="NAME,...",
        help="further formats in the bundle, each checked and timed: paddle_program, onnx, onnx_int8, openvino, "
        "openvino_bfloat16, openvino_int8 (default: the run's deployment.formats)",
    )


def run(args: argparse.Namespace) -> int:
    """Export; a bundle that is not verified is kept, marked, and makes the exit code 1."""
    warmup.begin()
    from paddle_automl.cli.results import print_bundle
    from paddle_automl.pipeline.commands import export_run
    from paddle_automl.pipeline.progress.display import Display

    screen = work_console()
    shows = Display.of_job(screen)
    formats = None if args.formats is None else [name for name in args.formats.split(",") if name]
    outcome = export_run(Path(args.model), Path(args.to) if args.to else None, shows, formats=formats)
    for note in outcome.notes:
        complain(f"note: {shown(note)}")
    print_bundle(outcome, screen)
    if not outcome.verified:
        raise ParityError(outcome.parity_text())
    return OK


main = main_of(add_arguments, run)
