"""Would more labels help? A network trained on parts of the data."""

from __future__ import annotations

import argparse

from rich.table import Table

from paddle_automl.cli.common import (
    OK,
    add_override_argument,
    add_plugin_argument,
    main_of,
    output_target,
    overrides_of,
    work_console,
)
from paddle_automl.core.errors import ConfigError
from paddle_automl.core.files import write_json
from paddle_automl.core.plugins import absolute_plugins, load_plugins
from paddle_automl.pipeline.jobs import warmup

SUMMARY = "Train a network on parts of its data and show what more labels would bring."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    given = parser.add_mutually_exclusive_group(required=True)
    given.add_argument("-m", "--model", metavar="PATH", help="a search, a run or a trial folder")
    given.add_argument("-c", "--config", metavar="FILE", help="YAML file with the configuration")
    parser.add_argument(
        "--sizes", type=int, nargs="+", default=[], metavar="N", help="training items (default: 100, 300, ... all)"
    )
    parser.add_argument("--draws", type=int, default=2, metavar="N", help="trainings of each size (default: 2)")
    parser.add_argument("--json", metavar="FILE", help="write the points as JSON")
    add_override_argument(parser)
    add_plugin_argument(parser)


def run(args: argparse.Namespace) -> int:
    """Train on parts of the data and print the curve."""
    warmup.begin()
    from paddle_automl.core.loading import load_config, overridden, validate
    from paddle_automl.core.paths import located
    from paddle_automl.pipeline.config import RunConfig
    from paddle_automl.pipeline.learning_curve import config_from_scratch, learning_curve
    from paddle_automl.pipeline.progress.display import Display
    from paddle_automl.pipeline.runs.sources import open_run

    if args.draws < 1:
        raise ConfigError(f"--draws: must be at least 1, got {args.draws}")
    inputs = [] if args.config is None else [args.config]
    target = output_target("--json", args.json, inputs) if args.json else None
    load_plugins(args.plugin)
    if args.model:
        data, places = overridden(config_from_scratch(open_run(args.model)).as_dict(), {}, overrides_of(args))
        data.pop("search", None)
        config = validate(RunConfig, data, places)
    else:
        config = load_config(RunConfig, located(args.config), overrides_of(args))
    # The jobs, in other processes, need them too.
    plugins = dict.fromkeys((*config.plugins, *absolute_plugins(args.plugin)))
    config = config.model_copy(update={"plugins": tuple(plugins)})
    screen = work_console()
    curve = learning_curve(config, sizes=args.sizes, draws=args.draws, observer=Display(screen, config))
    table = Table(f"training {curve.word}s", curve.metric, "deviation", box=None)
    for point in curve.points:
        spread = "" if point.deviation is None else f"{point.deviation:.4f}"
        table.add_row(str(point.items), f"{point.mean:.4f}", spread)
    screen.print(table)
    doubled = curve.doubled()
    if doubled is not None:
        gain = doubled - curve.points[-1].mean
        screen.print(
            f"with twice as many {curve.word}s about {doubled:.4f} ({gain:+.4f}), if the error goes on falling as "
            "between the last two rows"
        )
    if target is not None:
        write_json(target, curve.as_dict())
        screen.print(f"written to {target}")
    return OK


main = main_of(add_arguments, run)
