"""Load a server with more and more connections, and time its answers."""

from __future__ import annotations

import argparse
import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table

from paddle_automl.cli.common import NOT_AS_DEMANDED, OK, console, main_of
from paddle_automl.cli.serve import PACKAGES, TOKEN
from paddle_automl.core.errors import ConfigError
from paddle_automl.core.extras import needed
from paddle_automl.core.files import write_json

if TYPE_CHECKING:
    from paddle_automl.serving.client import Target

SUMMARY = "Load a server with more and more connections: requests per second, percentiles, errors."
CONNECTIONS = (1, 2, 4, 8, 16, 32)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("url", help="address of a server of tools/serve.py, or of another one that speaks V2")
    parser.add_argument("--model", metavar="NAME", help="name of the model (default: what the server says)")
    parser.add_argument(
        "--connections", type=int, nargs="+", default=list(CONNECTIONS), metavar="N",
        help=f"numbers of connections, one after the other (default: {' '.join(map(str, CONNECTIONS))})",
    )  # fmt: skip
    parser.add_argument("--seconds", type=float, default=5.0, metavar="S", help="time for each number (default: 5)")
    parser.add_argument(
        "--send", choices=("tensor", "json", "sample"), default="tensor",
        help="random numbers as binary tensors, the same as JSON, or the bundle's samples (default: tensor)",
    )  # fmt: skip
    parser.add_argument("--items", type=int, default=1, metavar="N", help="items in each request (default: 1)")
    parser.add_argument("--token", help=f"the server's token (or set {TOKEN} in the environment)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to FILE")


def run(args: argparse.Namespace) -> int:
    """Load the server and print a table; the exit code is 1 if any request had no good answer."""
    for module in PACKAGES:
        needed(module, "serve", "loadtest")
    from paddle_automl.serving.client import Target

    if min(args.connections) < 1 or not 0 < args.seconds < 86_400 or args.items < 1:
        raise ConfigError("--connections, --seconds, --items: must be larger than 0")
    target = Target.parse(args.url, args.token if args.token is not None else os.environ.get(TOKEN))
    figures = asyncio.run(_sweep(target, args))
    _print(figures)
    if args.json is not None:
        write_json(args.json, {"url": args.url, "send": args.send, "items": args.items, "levels": figures})
    return NOT_AS_DEMANDED if any(level["errors"] for level in figures) else OK


async def _sweep(target: Target, args: argparse.Namespace) -> list[dict[str, Any]]:
    from paddle_automl.serving.client import drive
    from paddle_automl.serving.loads import described, sample_requests, tensor_requests

    metadata, info = await described(target, args.model)
    if args.send == "sample":
        requests = await sample_requests(target, info)
    else:
        requests = tensor_requests(target, metadata, binary=args.send == "tensor", items=args.items)
    return [(await drive(target, requests, count, args.seconds)).figures() for count in args.connections]


def _print(figures: list[dict[str, Any]]) -> None:
    columns = ("connections", "requests", "per_second", "p50_ms", "p95_ms", "p99_ms", "errors")
    table = Table(*(name.replace("_", " ") for name in columns))
    for level in figures:
        table.add_row(*("-" if level[name] is None else str(level[name]) for name in columns))
    console().print(table)


main = main_of(add_arguments, run)
