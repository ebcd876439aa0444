"""Evaluate a bundle, a run or a trial: accuracy, per-class figures, confusion matrix, worst mistakes."""

from __future__ import annotations

import argparse
import json

from paddle_automl.cli.common import OK, add_override_argument, console, main_of, output_target, overrides_of
from paddle_automl.core.files import write_json
from paddle_automl.pipeline.jobs import warmup

SUMMARY = "Evaluate a model: accuracy, per-class figures, confusion matrix and the worst mistakes."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("-m", "--model", required=True, metavar="PATH", help="a bundle, a run or a trial folder")
    parser.add_argument(
        "--part",
        choices=("train", "validation", "test"),
        help="part of the data (default: test for a bundle or a finished run, validation for a trial)",
    )
    parser.add_argument(
        "--runtime",
        default="auto",
        metavar="NAME",
        help="for a bundle: auto (its fastest), paddle, onnx, or one of its formats (default: auto)",
    )
    parser.add_argument("--mistakes", type=int, default=10, metavar="N", help="worst mistakes listed (default: 10)")
    parser.add_argument(
        "--json", metavar="FILE", nargs="?", const="-", help="write JSON to FILE, or to the terminal"
    )
    add_override_argument(parser)


def run(args: argparse.Namespace) -> int:
    """Evaluate and print."""
    warmup.begin()
    from paddle_automl.cli.results import print_evaluation
    from paddle_automl.pipeline.commands import evaluate_model

    target = output_target("--json", args.json) if args.json and args.json != "-" else None
    outcome = evaluate_model(
        args.model, args.part, mistakes=args.mistakes, overrides=overrides_of(args), runtime=args.runtime
    )
    if args.json == "-":
        print(json.dumps(outcome, indent=2, ensure_ascii=False))
        return OK
    if target is not None:
        write_json(target, outcome)
    print_evaluation(console(), outcome)
    return OK


main = main_of(add_arguments, run)
