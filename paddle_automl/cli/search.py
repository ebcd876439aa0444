"""Search a configuration's space, then refit, test, export and verify the winner."""

from __future__ import annotations

import argparse

from paddle_automl.cli.common import (
    OK,
    add_config_arguments,
    console,
    main_of,
    option_lines,
    overrides_of,
    process_started,
    work_console,
)
from paddle_automl.pipeline.jobs import warmup

SUMMARY = "Search architecture and hyperparameters, then refit, test, export and verify the winner."


def epilog() -> str:
    """Return the options of the configuration, from the classes."""
    from paddle_automl.core.describe import all_options
    from paddle_automl.pipeline.config import RunConfig

    lines = ["keys of the configuration (options of a plugin: python tools/describe.py KIND NAME):"]
    return "\n".join([*lines, *option_lines(all_options(RunConfig))])


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_config_arguments(parser)
    parser.add_argument("--fresh", action="store_true", help="rename an existing output folder and start anew")
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="check everything, print the size of the space and how many trials fit, and stop",
    )


def run(args: argparse.Namespace) -> int:
    """Run the search; a bundle that is not verified is kept, marked, and makes the exit code 1."""
    warmup.begin(args.config, overrides_of(args))
    from paddle_automl.cli import results
    from paddle_automl.core.errors import ParityError
    from paddle_automl.core.loading import load_config
    from paddle_automl.core.paths import located
    from paddle_automl.pipeline.config import RunConfig

    config = load_config(RunConfig, located(args.config), overrides_of(args))
    if args.dry_run:
        from paddle_automl.pipeline.commands import dry_run

        results.print_dry_run(console(), dry_run(config, fresh=args.fresh))
        return OK
    from paddle_automl.pipeline.progress.display import Display
    from paddle_automl.pipeline.stages.run import run_search

    screen = work_console()
    observer = Display(screen, config)
    result = run_search(config, observer, fresh=args.fresh, started=process_started())
    results.print_search(screen, config, result)
    if not result.bundle.verified:
        raise ParityError(result.bundle.parity_text())
    return OK


main = main_of(add_arguments, run)
