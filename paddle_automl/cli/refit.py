"""Train the winner of a search further with new images and classes, without a search."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from paddle_automl.cli.common import OK, add_override_argument, main_of, overrides_of, work_console
from paddle_automl.core.display_text import shown
from paddle_automl.core.errors import ConfigError, ParityError
from paddle_automl.pipeline.jobs import warmup

if TYPE_CHECKING:
    from paddle_automl.pipeline.jobs.compare import CompareResult, Share

MORE = 0.02
"""Accuracy on old classes that may be lost, to try where the default finds nothing of the new ones."""
SUMMARY = "Train the winner of a search further with new images and new classes, without a search."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("output", metavar="OUTPUT", help="the output folder of a search, or of a training")
    parser.add_argument(
        "--data",
        required=True,
        metavar="FOLDER",
        help="the new images, a folder per class, known or new",
    )
    parser.add_argument("--to", metavar="FOLDER", help="folder of the results (default: OUTPUT_refit)")
    parser.add_argument(
        "--epochs",
        type=int,
        metavar="N",
        help="epochs (default: half of the earlier ones; all of them for a head on a frozen backbone)",
    )
    parser.add_argument(
        "--old-loss",
        type=float,
        metavar="FRACTION",
        help="accuracy on old classes that may be lost to new ones that look like them (default: 0.005, half a "
        "point); less finds fewer images of the new classes; 1: no limit",
    )
    parser.add_argument(
        "--fresh",
        action="store_true",
        help="begin anew in a folder that holds something else, such as a search; it is renamed in the end",
    )
    add_override_argument(parser)


def run(args: argparse.Namespace) -> int:
    """Refit, compare and export; OUTPUT does not change."""
    if args.epochs is not None and args.epochs < 1:
        raise ConfigError(f"--epochs: must be at least 1, got {args.epochs}")
    if args.old_loss is not None and not 0 <= args.old_loss <= 1:
        raise ConfigError(f"--old-loss: must be a fraction from 0 to 1, got {args.old_loss}")
    warmup.begin()
    from paddle_automl.cli.results import print_bundle
    from paddle_automl.core.paths import located
    from paddle_automl.pipeline.jobs.newcomers import LOSS
    from paddle_automl.pipeline.progress.display import Display
    from paddle_automl.pipeline.refitting import refit_run, run_to_refit

    screen = work_console()
    old_loss = LOSS if args.old_loss is None else args.old_loss
    outcome = refit_run(
        args.output,
        args.data,
        located(args.to) if args.to else None,
        Display(screen, run_to_refit(args.output).config),
        epochs=args.epochs,
        overrides=overrides_of(args),
        fresh=args.fresh,
        old_loss=old_loss,
    )
    print_comparison(screen, outcome.comparison, old_loss)
    print_bundle(outcome.bundle, screen)
    screen.print(Text(shown(f"results: {outcome.training.folder}")))
    if not outcome.bundle.verified:
        raise ParityError(outcome.bundle.parity_text())
    return OK


def print_comparison(screen: Console, found: CompareResult, old_loss: float) -> None:
    """Print the accuracies before and after, and what helps if no item of a new class is found."""
    if not found.total.items:
        screen.print("the data have no test split (data.split.test), so nothing is compared")
        return
    names = ", ".join(found.new_classes)
    rows = [
        ("old test split, before", found.before),
        ("old test split, after", found.after),
        ("  with answers of old classes alone", found.remembered),
        ("new items of old classes", found.new_items),
        (f"new classes ({names})" if names else "new classes", found.new_class_items),
        ("total", found.total),
    ]
    for title, share in rows:
        if share.items and (found.new_classes or share is not found.remembered):
            screen.print(Text(shown(f"{title}: {_text(share)}")))
    if found.new_classes and found.new_class_items.items and not found.new_class_items.accuracy:
        screen.print(Text(_remedy(old_loss)), style="bold")


def _remedy(old_loss: float) -> str:
    lets = [f"--old-loss {MORE:g}" if old_loss < MORE else "", "--old-loss 1 (no limit)" if old_loss < 1 else ""]
    options = " or ".join(filter(None, lets))
    text = "no item of the new classes is found: add items of these classes"
    if not options:
        return text
    return f"{text}, or repeat the command with {options}, which lets them take more items of the old classes"


def _text(share: Share) -> str:
    return f"accuracy {share.accuracy:.4f}, {share.items} items"


main = main_of(add_arguments, run)
