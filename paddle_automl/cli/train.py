"""Train one configuration: a user's, or that of a trial."""

from __future__ import annotations

import argparse

from paddle_automl.cli.common import (
    OK,
    add_config_arguments,
    main_of,
    option_lines,
    overrides_of,
    work_console,
)
from paddle_automl.pipeline.jobs import warmup

SUMMARY = "Train one network with the values of a configuration; a trial's config.yaml works as well."


def epilog() -> str:
    """Return the options of the configuration, from the classes."""
    from paddle_automl.core.describe import all_options
    from paddle_automl.pipeline.config import RunConfig

    skip = ("search", "budget", "refit")
    lines = option_lines(item for item in all_options(RunConfig) if item.key.split(".")[0] not in skip)
    return "\n".join(["keys of the configuration:", *lines])


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_config_arguments(parser)
    parser.add_argument(
        "--fresh",
        action="store_true",
        help="begin anew in a folder that holds something else, such as a search; it is renamed in the end",
    )


def run(args: argparse.Namespace) -> int:
    """Train, print the validation metrics and the next commands."""
    warmup.begin(args.config, overrides_of(args))
    from paddle_automl.cli.results import print_training
    from paddle_automl.core.loading import load_config
    from paddle_automl.core.paths import located
    from paddle_automl.pipeline.commands import train_run
    from paddle_automl.pipeline.config import RunConfig
    from paddle_automl.pipeline.progress.display import Display

    config = load_config(RunConfig, located(args.config), overrides_of(args))
    screen = work_console()
    if config.search.space is not None:
        screen.print("this configuration has a search space; only its own values are trained", style="dim")
    print_training(screen, config, train_run(config, Display(screen, config), fresh=args.fresh))
    return OK


main = main_of(add_arguments, run)
