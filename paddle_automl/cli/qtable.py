"""Print and draw the values of all choices that were learned from the trials of a search."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text

from paddle_automl.cli.common import OK, console, main_of, print_json
from paddle_automl.core.display_text import plot_text, shown
from paddle_automl.core.errors import ConfigError, SearchFailedError
from paddle_automl.core.files import replacing

if TYPE_CHECKING:
    from paddle_automl.search.learning.q_table import ChoiceValue

SUMMARY = "Print and draw the Q-table of a search: value, count and spread of every choice."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("output", type=Path, metavar="OUTPUT", help="output folder of a search with any controller")
    parser.add_argument(
        "--variant",
        choices=("factored", "metaqnn"),
        default="factored",
        help="factored: a value per choice; metaqnn: a value per choice and the one before it (default: factored)",
    )
    parser.add_argument(
        "--png", type=Path, metavar="FILE", help="picture of the factored table (default: OUTPUT/q_table.png)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON and draw nothing")


def run(args: argparse.Namespace) -> int:
    """Print the table, and draw it."""
    from paddle_automl.pipeline.runs.folder import RunFolder
    from paddle_automl.search.learning.q_table import metaqnn_table, q_table
    from paddle_automl.search.reading import read_study

    if args.png is not None and args.variant != "factored":
        raise ConfigError("--png: the table of metaqnn is not drawn; leave it out, or use --variant factored")
    study = read_study(RunFolder(args.output).study)
    learn = q_table if args.variant == "factored" else metaqnn_table
    table = learn(study.space, study.history, study.objectives)
    if not table:
        raise SearchFailedError(f"{args.output}: no trial of the search has a result yet")
    if args.json:
        print_json(json.dumps([asdict(row) for row in table], indent=2, ensure_ascii=False))
        return OK
    _print(table, args.variant)
    file = args.png or args.output / "q_table.png"
    if args.variant == "factored":
        _draw(table, file)
        console().print(Text(shown(f"drawn: {file}")), soft_wrap=True)
    return OK


def _print(table: Sequence[ChoiceValue], variant: str) -> None:
    from rich.table import Table

    grid = Table()
    columns = ("decision", "choice", "trials", "value", "spread")
    for column in columns if variant == "factored" else ("decision", "after", *columns[1:]):
        grid.add_column(column, justify="right" if column in ("trials", "value", "spread") else "left")
    before = ""
    for row in table:
        name = "" if row.decision == before else row.decision
        spread = f"{row.spread:.2f}" if row.count and row.spread is not None else ""
        figures = (str(row.count), f"{row.value:+.2f}", spread)
        grid.add_row(
            _plain(name), *(() if variant == "factored" else (_plain(row.after),)), _plain(row.choice), *figures
        )
        before = row.decision
    console().print(grid)


def _plain(text: str) -> Text:
    """Return text whose brackets are not markup: names of decisions contain them."""
    return Text(shown(text))


def _draw(table: Sequence[ChoiceValue], file: Path) -> None:
    """Draw a bar per choice, grouped by decision; its error bar is one spread in each direction."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 0.8 + 0.24 * len(table)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    places, place, before = [], 0.0, table[0].decision
    for row in table:
        place += 1.0 if row.decision == before else 1.8
        before = row.decision
        places.append(place)
    colors = ["tab:green" if row.value > 0 else "tab:red" for row in table]
    # A choice that no trial made is drawn pale.
    bars = axes.barh(places, [row.value for row in table], xerr=[row.spread or 0.0 for row in table], color=colors)
    for bar, row in zip(bars, table, strict=True):
        bar.set_alpha(0.8 if row.count else 0.2)
    axes.set_yticks(
        places, [plot_text(f"{row.decision} = {row.choice}  ({row.count})") for row in table], fontsize=7
    )
    axes.invert_yaxis()
    axes.axvline(0.0, color="black", linewidth=0.8)
    axes.margins(y=0.01)
    axes.set_xlabel("value: standard deviations of the reward")
    axes.set_title("Q-table (number of trials in brackets)")
    with replacing(file) as temporary:
        figure.savefig(temporary, format="png", dpi=120)


main = main_of(add_arguments, run)
