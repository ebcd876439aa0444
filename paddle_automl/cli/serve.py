"""Serve an exported bundle: an API, a page for people, metrics."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

from paddle_automl.cli.common import OK, add_plugin_argument, console, main_of
from paddle_automl.cli.predict import bundle_of
from paddle_automl.core.errors import ConfigError
from paddle_automl.core.extras import needed
from paddle_automl.core.plugins import load_plugins
from paddle_automl.core.streams import complain

if TYPE_CHECKING:
    from paddle_automl.serving.options import Address, Limits

SUMMARY = "Serve an exported model: a page to try it, an API (Open Inference Protocol V2), metrics."
TOKEN = "PADDLE_AUTOML_TOKEN"
"""Environment variable with the token, which a command line would show to other users of the machine."""
PACKAGES = ("fastapi", "uvicorn", "httptools", "orjson", "prometheus_client", "multipart")
"""What the extra `serve` installs."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("-m", "--model", required=True, metavar="PATH", help="a bundle, a run or a trial folder")
    parser.add_argument("--name", help="the model's name in addresses (default: the name of the run's folder)")
    listening = parser.add_argument_group("where it listens")
    listening.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to listen on; 0.0.0.0 opens it to the network (default: 127.0.0.1)",
    )
    listening.add_argument("--port", type=int, default=8080, help="port; 0 for any free one (default: 8080)")
    listening.add_argument(
        "--allow-host", action="append", default=[], metavar="NAME",
        help="host name by which clients may address the server; may be given many times "
        "(default: only loopback names on a loopback address, else any)",
    )  # fmt: skip
    listening.add_argument(
        "--token", help=f"clients must send 'Authorization: Bearer TOKEN' (or set {TOKEN} in the environment)"
    )
    network = parser.add_argument_group("how it predicts")
    network.add_argument("--device", default="cpu", help="cpu or gpu:N (default: cpu)")
    network.add_argument(
        "--runtime", default="auto", metavar="NAME",
        help="auto (the bundle's fastest), paddle, onnx, openvino, or a format of the bundle (default: auto)",
    )  # fmt: skip
    network.add_argument("--threads", type=int, default=1, help="threads of the runtime (default: 1)")
    network.add_argument(
        "--max-batch", type=int, default=16, metavar="N", help="most items in one run of the network (default: 16)"
    )
    network.add_argument(
        "--max-wait-ms", type=float, default=0.0, metavar="MS",
        help="longest time for which an item waits for others while the network is idle (default: 0)",
    )  # fmt: skip
    network.add_argument(
        "--no-unknown", action="store_true",
        help="always answer with one of the classes, also for items that look like none of them",
    )  # fmt: skip
    _add_limits(parser.add_argument_group("limits"))
    add_plugin_argument(parser)


def _add_limits(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--max-queue", type=int, default=256, metavar="N",
        help="most items that wait; beyond, requests get 503 with Retry-After (default: 256)",
    )  # fmt: skip
    group.add_argument(
        "--max-items", type=int, default=64, metavar="N", help="most items of one request (default: 64)"
    )
    group.add_argument(
        "--max-body-mb", type=float, default=32.0, metavar="MB", help="largest body of a request (default: 32)"
    )
    group.add_argument(
        "--max-bodies-mb", type=float, default=256.0, metavar="MB", help="bodies held at one time (default: 256)"
    )
    group.add_argument(
        "--max-extent", type=int, metavar="N",
        help="largest item: pixels of an image (default: 50 million), characters of a text (default: 20,000)",
    )  # fmt: skip
    group.add_argument(
        "--timeout", type=float, default=30.0, metavar="S",
        help="seconds for a body to arrive, and then for its answer (default: 30)",
    )  # fmt: skip
    group.add_argument(
        "--max-connections", type=int, default=512, metavar="N", help="most open connections (default: 512)"
    )


def run(args: argparse.Namespace) -> int:
    """Serve until Ctrl-C or SIGTERM; the exit code is 0 then."""
    for module in PACKAGES:
        needed(module, "serve", "serve")
    from paddle_automl.serving.options import Address, Limits

    limits = Limits(
        batch=args.max_batch,
        wait_ms=args.max_wait_ms,
        queue=args.max_queue,
        items=args.max_items,
        body_mb=args.max_body_mb,
        bodies_mb=max(args.max_bodies_mb, args.max_body_mb),
        extent=args.max_extent,
        timeout_s=args.timeout,
        connections=args.max_connections,
    )
    token = args.token if args.token is not None else os.environ.get(TOKEN)
    if token is not None and not (token.isascii() and token.isprintable() and token.strip() == token and token):
        raise ConfigError("--token: must be printable ASCII without blanks at its ends")
    address = Address(args.host, args.port, token, tuple(args.allow_host))
    load_plugins(args.plugin)
    _serve(args, address, limits)
    return OK


def _serve(args: argparse.Namespace, address: Address, limits: Limits) -> None:
    from paddle_automl.serving.app import Application
    from paddle_automl.serving.model import name_of
    from paddle_automl.serving.network import ServedPredictor
    from paddle_automl.serving.server import bind, serve

    bundle = bundle_of(args.model)
    listening = bind(address)
    predictor = ServedPredictor(
        bundle,
        plugins=args.plugin,
        device=args.device,
        threads=args.threads,
        runtime=args.runtime,
        reject=not args.no_unknown,
    )
    name = name_of(args.name or (bundle.parent.name if bundle.name == "model" else bundle.name))
    port = listening.getsockname()[1]
    host = f"[{address.host}]" if ":" in address.host else address.host
    if not address.local and address.token is None:
        complain(f"everybody who reaches {host}:{port} can use this server; set --token, or leave out --host")

    def started() -> None:
        console().print(f"serving '{name}' ({predictor.format}) at http://{host}:{port}; Ctrl-C stops it")

    try:
        serve(
            lambda failed: Application(predictor, name, address=address, limits=limits, failed=failed),
            listening,
            started,
        )
    finally:
        predictor.close()
    console().print("stopped")


main = main_of(add_arguments, run)
