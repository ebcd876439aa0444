"""Check that a bundle is unchanged and still gives the answers that it gave when it was exported."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from paddle_automl.cli.common import NOT_AS_DEMANDED, OK, add_plugin_argument, main_of, output_target
from paddle_automl.core.display_text import shown
from paddle_automl.core.errors import ConfigError
from paddle_automl.core.files import write_json
from paddle_automl.core.paths import located
from paddle_automl.core.plugins import load_plugins
from paddle_automl.deployment.samples import DEFAULT_DIFFERENCE

SUMMARY = "Check that a bundle is unchanged and still gives the answers that it gave when it was exported."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("-m", "--model", required=True, metavar="PATH", help="a bundle, a run or a trial folder")
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
    parser.add_argument("--json", metavar="FILE", help="write the result as JSON to FILE as well")
    add_plugin_argument(parser)


def run(args: argparse.Namespace) -> int:
    """Verify and print; anything that does not hold makes the exit code 1."""
    load_plugins(args.plugin)
    from paddle_automl.deployment.runtime import check_threads
    from paddle_automl.deployment.verify import verify_bundle
    from paddle_automl.pipeline.runs.folder import RunFolder

    if not args.max_difference >= 0:
        raise ConfigError(f"--max-difference: must be 0 or more, got {args.max_difference}")
    check_threads(args.threads)
    target = output_target("--json", args.json, [args.model]) if args.json else None
    place = located(args.model)
    bundle = RunFolder(place).find_bundle() or place
    found = verify_bundle(bundle, max_difference=args.max_difference, device=args.device, threads=args.threads)
    if target is not None:
        write_json(target, {**asdict(found), "folder": str(found.folder), "passed": found.passed})
    for line in found.describe().split("\n"):
        print(shown(line))
    return OK if found.passed else NOT_AS_DEMANDED


main = main_of(add_arguments, run)
