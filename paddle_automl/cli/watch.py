"""Start VisualDL on the logs of a search or a training, in the browser."""

from __future__ import annotations

import argparse
import os
import shlex
import socket
import subprocess
import sys
from pathlib import Path

from paddle_automl.cli.common import OK, main_of
from paddle_automl.core.display_text import shown
from paddle_automl.core.errors import BundleError, ConfigError, MachineError

SUMMARY = "Start VisualDL on the logs of a search or a training: curves, choices, images, the graph."

PORT = 8040
LAST_PORT = 65535
RECORDS = "vdlrecords.*"
"""Files that VisualDL reads."""
PROGRAM = "from visualdl.server.app import main; main()"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "output", metavar="OUTPUT", help="output folder of a search or a training, or a folder that holds several"
    )
    parser.add_argument("--port", type=int, default=PORT, help=f"port of the page (default: {PORT})")
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen on; the page has no password (default: 127.0.0.1)"
    )
    parser.add_argument(
        "--language",
        choices=("auto", "en", "zh"),
        default="auto",
        help="language of the page; auto: Chinese in a Chinese locale, else English (default: auto)",
    )
    parser.add_argument("--dry-run", action="store_true", help="print VisualDL's command and do not start it")


def run(args: argparse.Namespace) -> int:
    """Start VisualDL and wait until Ctrl-C ends it."""
    from paddle_automl.core.paths import located
    from paddle_automl.reporting.words import language_of

    if not 0 < args.port <= LAST_PORT:
        raise ConfigError(f"--port: must be from 1 to {LAST_PORT}, got {args.port}")
    logs = log_folder(located(args.output))
    options = options_of(logs, args.host, args.port, language_of(args.language))
    if args.dry_run:
        print(shown(shlex.join(["visualdl", *options])))
        return OK
    check_port(args.host, args.port)
    print(shown(f"VisualDL: http://{args.host}:{args.port}/app/ shows {logs}; Ctrl-C ends it"), flush=True)
    return serve([sys.executable, "-c", PROGRAM, *options])


def log_folder(output: Path) -> Path:
    """Return the folder below `output` that holds logs; raises BundleError if there are none."""
    from paddle_automl.pipeline.runs.folder import RunFolder

    if not output.is_dir():
        raise BundleError(f"{output}: no such folder; give the output folder of a search or a training")
    own = RunFolder(output).visualdl
    # The folder itself may be one of logs, or hold the output folders of several searches.
    for folder in (own, output):
        if folder.is_dir() and next(folder.rglob(RECORDS), None) is not None:
            return folder
    raise BundleError(
        f"{output}: holds no logs of VisualDL; they are written while a search or a training runs, unless the "
        "configuration says visualdl: false"
    )


def options_of(logs: Path, host: str, port: int, language: str) -> list[str]:
    """Return VisualDL's options: no telemetry, and a language, without which it answers some browsers with 500."""
    where = ["--logdir", str(logs), "--host", host, "--port", str(port)]
    return [*where, "--language", language, "--disable-telemetry", "--cache-timeout", "5"]


def check_port(host: str, port: int) -> None:
    """Raise MachineError if nothing can listen on the port: VisualDL would take another one, or print a trace."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(found[0], socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(found[4])
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise MachineError(
            f"cannot listen on {host}:{port}: {reason}; choose another port with --port, as in --port {port + 1}"
        ) from None


def serve(command: list[str]) -> int:
    """Run VisualDL in a process of its own until Ctrl-C; return its exit code, 0 after Ctrl-C."""
    with subprocess.Popen(command, env={**os.environ, **protobuf_settings()}) as process:
        try:
            return process.wait()
        except KeyboardInterrupt:
            process.terminate()
            return OK


def protobuf_settings() -> dict[str, str]:
    """Return the environment in which VisualDL can be imported with the installed protobuf."""
    if "PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION" in os.environ:
        return {}
    try:
        import visualdl.proto.record_pb2  # noqa: F401
    except TypeError:
        # "Descriptors cannot be created directly": descriptions made before protobuf 3.19.
        return {"PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": "python"}
    except ImportError as error:
        raise MachineError(f"VisualDL cannot be started: {error}; install it with pip install visualdl") from None
    return {}


main = main_of(add_arguments, run)
