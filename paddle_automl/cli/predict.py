"""Predict class probabilities for image files with an exported bundle alone."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from paddle_automl.cli.common import NOT_AS_DEMANDED, OK, main_of, output_target
from paddle_automl.core.errors import ParityError
from paddle_automl.core.files import write_text

SUMMARY = "Predict class probabilities for image files, folders or lists with an exported model."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("images", nargs="+", help="image files, folders, or .txt lists of image files")
    parser.add_argument("-m", "--model", required=True, metavar="PATH", help="a bundle, a run or a trial folder")
    parser.add_argument("--top", type=int, default=3, metavar="K", help="classes shown per image (default: 3)")
    parser.add_argument("--batch-size", type=int, default=32, metavar="N", help="images at a time (default: 32)")
    parser.add_argument("--device", default="cpu", help="cpu or gpu:N (default: cpu)")
    parser.add_argument(
        "--runtime",
        default="auto",
        metavar="NAME",
        help="auto (the bundle's fastest), paddle, onnx, or a format of the bundle (default: auto)",
    )
    parser.add_argument("--threads", type=int, default=1, help="threads of the runtime (default: 1)")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", metavar="FILE", nargs="?", const="-", help="write JSON to FILE, or to the terminal")
    form.add_argument("--csv", metavar="FILE", help="write CSV (UTF-8 with BOM, a column per class) to FILE")


def run(args: argparse.Namespace) -> int:
    """Predict and print; a file that cannot be read is reported and makes the exit code 1."""
    from paddle_automl.deployment.inputs import expand
    from paddle_automl.deployment.output import as_csv, as_json, as_table
    from paddle_automl.deployment.predictor import Predictor

    target = output_target("--csv", args.csv, args.images) if args.csv else None
    if args.json and args.json != "-":
        target = output_target("--json", args.json, args.images)
    files = expand(args.images)
    predictor = Predictor(bundle_of(args.model), device=args.device, threads=args.threads, runtime=args.runtime)
    predictions = predictor.predict(files, batch_size=args.batch_size)
    if target is not None:
        write_text(target, as_csv(predictions, predictor.class_names) if args.csv else as_json(predictions))
        print(f"{len(predictions)} predictions written to {target}")
    elif args.json:
        print(as_json(predictions))
    else:
        print(as_table(predictions, top=args.top))
    return NOT_AS_DEMANDED if any(item.error for item in predictions) else OK


def bundle_of(path: str) -> Path:
    """Return the bundle that ``-m`` names; a run that has none yet is exported first."""
    from paddle_automl.core.paths import located

    folder = located(path)
    for candidate in (folder, folder / "model"):
        if (candidate / "bundle.yaml").is_file():
            return candidate
    from paddle_automl.pipeline.commands import export_run
    from paddle_automl.pipeline.runs.sources import open_run

    open_run(folder)
    sys.stderr.write(f"{folder} holds no exported model yet; exporting it to {folder / 'model'}\n")
    outcome = export_run(folder)
    if not outcome.verified:
        raise ParityError(outcome.parity_text())
    return outcome.bundle


main = main_of(add_arguments, run)
