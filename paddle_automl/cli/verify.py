"""Check that a bundle is whole, still gives the answers that it gave at its export, and is as fast."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from paddle_automl.cli.common import (
    NOT_AS_DEMANDED,
    OK,
    add_plugin_argument,
    console,
    main_of,
    output_target,
    print_json,
)
from paddle_automl.core.display_text import shown
from paddle_automl.core.errors import ConfigError
from paddle_automl.core.files import write_json
from paddle_automl.core.paths import located
from paddle_automl.core.plugins import load_plugins
from paddle_automl.deployment.samples import DEFAULT_DIFFERENCE

if TYPE_CHECKING:
    from paddle_automl.deployment.verify import Verification

SUMMARY = "Check that a bundle is whole, still gives the answers that it gave at its export, and is as fast."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("bundle", nargs="?", metavar="BUNDLE", help="a bundle, a run or a trial folder")
    parser.add_argument("-m", "--model", metavar="PATH", help="the same, as in other commands")
    parser.add_argument(
        "--data",
        metavar="FOLDER|CONFIG",
        help="run the formats of the bundle on these items and compare them with each other: a file, a folder, a "
        "list, or the data set of a configuration; by default on the bundle's samples",
    )
    parser.add_argument(
        "--max-difference",
        type=float,
        default=DEFAULT_DIFFERENCE,
        metavar="X",
        help=f"largest difference of an output to the recorded one, in units of the outputs' scale; processors "
        f"round differently (default: {DEFAULT_DIFFERENCE:g})",
    )
    parser.add_argument("--device", default="cpu", help="cpu or gpu:N (default: cpu)")
    parser.add_argument("--threads", type=int, default=1, help="threads of the runtime (default: 1)")
    parser.add_argument("--no-latency", action="store_true", help="do not measure the latency")
    parser.add_argument(
        "--max-slowdown",
        type=float,
        metavar="X",
        help="fail if a format takes more than X times its recorded latency on a processor of the same name; by "
        "default latencies are only stated, because other load changes them",
    )
    parser.add_argument(
        "--json", metavar="FILE", nargs="?", const="-", help="write JSON to FILE, or to the terminal"
    )
    add_plugin_argument(parser)


def run(args: argparse.Namespace) -> int:
    """Verify and print; anything that does not hold makes the exit code 1."""
    load_plugins(args.plugin)
    from paddle_automl.deployment.runtime import check_threads
    from paddle_automl.deployment.verify import Checks, verify_bundle
    from paddle_automl.pipeline.runs.folder import RunFolder

    given = _bundle_of(args)
    if not args.max_difference >= 0:
        raise ConfigError(f"--max-difference: must be 0 or more, got {args.max_difference}")
    if args.max_slowdown is not None and not args.max_slowdown > 0:
        raise ConfigError(f"--max-slowdown: must be more than 0, got {args.max_slowdown}")
    check_threads(args.threads)
    inputs = [given] if args.data is None else [given, args.data]
    target = output_target("--json", args.json, inputs) if args.json and args.json != "-" else None
    place = located(given)
    bundle = RunFolder(place).find_bundle() or place
    checks = Checks(args.max_difference, args.device, args.threads, not args.no_latency, args.max_slowdown)
    batches = None
    if args.data is not None:
        from paddle_automl.deployment.bundle import Bundle
        from paddle_automl.pipeline.verifying import batches_for

        # Damaged files are reported by the verification; here only the record is needed.
        batches = batches_for(Bundle.open(bundle, check_files=False), args.data)
    found = verify_bundle(bundle, checks, data=batches, source=args.data or "")
    if target is not None:
        write_json(target, found.as_dict())
    if args.json == "-":
        print_json(json.dumps(found.as_dict(), indent=2, ensure_ascii=False))
    else:
        _print(console(), found)
    return OK if found.passed else NOT_AS_DEMANDED


def _bundle_of(args: argparse.Namespace) -> str:
    if (args.bundle is None) == (args.model is None):
        raise ConfigError("BUNDLE: name one bundle, as in: tools/verify.py output/digits/model")
    return str(args.bundle if args.model is None else args.model)


def _print(screen: Console, found: Verification) -> None:
    table = Table("check", "result", box=None, title=Text(shown(found.folder)), title_justify="left")
    for name, text in found.rows():
        table.add_row(Text(shown(name)), Text(shown(text)))
    screen.print(table)
    for text in found.problems:
        screen.print(Text(shown(f"problem: {text}")))
    screen.print(Text(found.verdict))


main = main_of(add_arguments, run)
