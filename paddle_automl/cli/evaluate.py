"""Evaluate a bundle, a run or a trial: metrics, tables of the task, worst mistakes."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from paddle_automl.cli.common import (
    OK,
    add_override_argument,
    add_plugin_argument,
    console,
    main_of,
    output_target,
    overrides_of,
    print_json,
)
from paddle_automl.core.display_text import shown
from paddle_automl.core.errors import ConfigError
from paddle_automl.core.files import write_json
from paddle_automl.core.moved import moved_argument
from paddle_automl.pipeline.jobs import warmup
from paddle_automl.tasks.answers import float_text

if TYPE_CHECKING:
    from paddle_automl.pipeline.evaluation import EvaluationOutcome
    from paddle_automl.pipeline.jobs.evaluate import TableResult

SPLITS = ("train", "validation", "test", "all")

SUMMARY = "Evaluate a model: metrics, tables of classes, labels or numbers, and the worst mistakes."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("-m", "--model", required=True, metavar="PATH", help="a bundle, a run or a trial folder")
    parser.add_argument(
        "--split",
        choices=SPLITS,
        help="split of the data, or all items (default: test for a bundle or finished run, validation for a trial, "
        "all items for another data set)",
    )
    parser.add_argument("--part", choices=SPLITS, help=argparse.SUPPRESS)
    parser.add_argument(
        "--runtime",
        default="auto",
        metavar="NAME",
        help="for a bundle: auto (its fastest format), paddle, onnx, openvino, or a format of it (default: auto)",
    )
    parser.add_argument("--mistakes", type=int, default=10, metavar="N", help="worst mistakes listed (default: 10)")
    parser.add_argument(
        "--json", metavar="FILE", nargs="?", const="-", help="write JSON to FILE, or to the terminal"
    )
    parser.add_argument(
        "--plot", metavar="FILE", help="draw predictions over true values and residuals of a regression as a PNG"
    )
    add_override_argument(parser)
    add_plugin_argument(parser)


def run(args: argparse.Namespace) -> int:
    """Evaluate and print."""
    if args.mistakes < 0:
        raise ConfigError(f"--mistakes: must be at least 0, got {args.mistakes}")
    warmup.begin()
    from paddle_automl.pipeline.evaluation import evaluation_of

    target = output_target("--json", args.json) if args.json and args.json != "-" else None
    picture = _picture(args.plot) if args.plot else None
    outcome = evaluation_of(
        args.model,
        moved_argument("--part", "--split", args.part, args.split),
        mistakes=args.mistakes,
        overrides=overrides_of(args),
        runtime=args.runtime,
        plugins=args.plugin,
    )
    if target is not None:
        write_json(target, outcome.as_dict())
    if args.json == "-":
        print_json(json.dumps(outcome.as_dict(), indent=2, ensure_ascii=False))
    else:
        print_evaluation(console(), outcome)
    if picture is not None:
        _draw(outcome, picture)
    return OK


def print_evaluation(screen: Console, outcome: EvaluationOutcome) -> None:
    """Print metrics and tables."""
    from paddle_automl.tasks.metrics.spelling import text_of

    result = outcome.result
    metrics = ", ".join(f"{key} {text_of(key, value)}" for key, value in result.metrics.items())
    if outcome.note:
        screen.print(Text(shown(f"note: {outcome.note}")))
    what = "all items" if outcome.split == "all" else f"{outcome.split} split"
    screen.print(Text(shown(f"{what}, {result.items} {result.word}s: {metrics}")))
    for table in result.tables:
        screen.print()
        screen.print(_table(table))


def _table(found: TableResult) -> Table:
    # As Text: a class name may look like markup.
    columns = [Column(Text(shown(name))) for name in found.columns]
    table = Table(*columns, box=None, title=Text(shown(found.title)), title_justify="left")
    for row in found.rows:
        table.add_row(*(Text(_cell(value)) for value in row))
    return table


def _cell(value: object) -> str:
    if value is None:
        return "."
    return float_text(value) if isinstance(value, float) else shown(value)


def _picture(path: str) -> Path:
    target = Path(path)
    if target.suffix.lower() != ".png" or target.is_dir():
        raise ConfigError(f"--plot {path}: must name a .png file")
    return target


def _draw(outcome: EvaluationOutcome, file: Path) -> None:
    from paddle_automl.cli.residuals import plot_residuals

    if not outcome.result.points:
        raise ConfigError("--plot: this task has nothing to draw; a regression has")
    plot_residuals(outcome.result.points, file)


main = main_of(add_arguments, run)
