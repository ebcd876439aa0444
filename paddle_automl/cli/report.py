"""Write the report of a search or a training: one page that works offline, and the same for programs."""

from __future__ import annotations

import argparse

from rich.text import Text

from paddle_automl.cli.common import OK, main_of, work_console
from paddle_automl.core.display_text import shown
from paddle_automl.pipeline.jobs import warmup

SUMMARY = "Write the report of a search or a training: one page that works offline, and the same as JSON."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("output", metavar="OUTPUT", help="output folder of a search or of a training")
    parser.add_argument(
        "--language",
        choices=("auto", "en", "zh"),
        default="auto",
        help="language of the page; auto: Chinese in a Chinese locale, else English (default: auto)",
    )
    parser.add_argument(
        "--again", action="store_true", help="ask the exported network again, even if its answers are known"
    )
    parser.add_argument(
        "--no-answers",
        action="store_true",
        help="leave out the exported network's answers unless they are known: no data are read",
    )


def run(args: argparse.Namespace) -> int:
    """Write the report and print where it is."""
    warmup.begin()
    from paddle_automl.pipeline.report import make_report

    folder, result = make_report(args.output, language=args.language, again=args.again, answers=not args.no_answers)
    screen = work_console()
    if result.why:
        screen.print(Text(shown(f"without the network's answers: {result.why}")))
    screen.print(Text(shown(f"{folder.report} ({result.page_kb:.0f} kB), {folder.report_data}")), soft_wrap=True)
    return OK


main = main_of(add_arguments, run)
