"""What every command shares: arguments, error messages, exit codes."""

from __future__ import annotations

import argparse
import codecs
import json
import re
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console

from paddle_automl.core import signals
from paddle_automl.core.describe import Option
from paddle_automl.core.errors import AutoMLError, ConfigError, InterruptedRunError, ParityError
from paddle_automl.core.loading import parse_overrides
from paddle_automl.core.log import escape_names
from paddle_automl.core.paths import located
from paddle_automl.core.runtime import silence_known_warnings, tune_process
from paddle_automl.core.streams import ReaderGone, complain, display, prepare_streams, results
from paddle_automl.core.temporary import own_temporary_folder
from paddle_automl.inputs.image.files import is_image_name
from paddle_automl.paddle_compat.signals import keep_own_handlers

OK, NOT_AS_DEMANDED, BAD_INPUT = 0, 1, 2


def make_parser(name: str, summary: str, epilog: str = "") -> argparse.ArgumentParser:
    """Return the argument parser of a command, whose help keeps the layout of its texts."""
    return argparse.ArgumentParser(
        prog=name, description=summary, epilog=epilog, formatter_class=argparse.RawDescriptionHelpFormatter
    )


def add_config_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``-c FILE`` and the repeatable ``-o key=value``."""
    parser.add_argument("-c", "--config", required=True, metavar="FILE", help="YAML file with the configuration")
    add_override_argument(parser)


def add_override_argument(parser: argparse.ArgumentParser) -> None:
    """Add the repeatable ``-o key=value``."""
    parser.add_argument(
        "-o",
        "--override",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change one key, as in -o training.epochs=5; the value is read as YAML; may be given many times",
    )


def add_plugin_argument(parser: argparse.ArgumentParser) -> None:
    """Add the repeatable ``--plugin PLUGIN``."""
    parser.add_argument(
        "--plugin",
        action="append",
        default=[],
        metavar="PLUGIN",
        help="plugin to load first: a dotted module or the path of a .py file; may be given many times",
    )


def overrides_of(args: argparse.Namespace) -> dict[str, Any]:
    """Return the command line's overrides as ``{dotted key: value}``."""
    return parse_overrides(args.override)


def run_command(command: Callable[[argparse.Namespace], int], args: argparse.Namespace) -> int:
    """Run a command and turn its known errors into one message on standard error and an exit code.

    SIGTERM and SIGHUP are handled like Ctrl-C. The reader of the output may close it early, as ``| head`` does.
    """
    prepare_streams()
    escape_names()
    signals.forget()
    try:
        with signals.as_ctrl_c(), own_temporary_folder(), results():
            keep_own_handlers()
            code = command(args)
    except ParityError as error:
        complain(f"not verified: {error}")
        return NOT_AS_DEMANDED
    except InterruptedRunError as error:
        complain(str(error))
        return signals.exit_code()
    except AutoMLError as error:
        complain(f"error: {error}")
        return BAD_INPUT
    except ReaderGone:
        return OK
    except KeyboardInterrupt:
        complain(signals.how())
        return signals.exit_code()
    except ImportError as error:
        if not signals.caused(error):
            raise
        complain(signals.how())
        return signals.exit_code()
    return code


def output_target(option: str, path: str, inputs: Sequence[str] = ()) -> Path:
    """Return the file that a result is written to; raises ConfigError if that would overwrite an image or an input.

    ``--json`` takes an optional file, so an image that follows it would be taken for that file.
    """
    target = Path(path)
    if is_image_name(target.name) or target.is_dir() or any(_same(target, word) for word in inputs):
        raise ConfigError(
            f"{option} {path}: is an image, an input or a folder, and would be overwritten; "
            f"write {option}=FILE, or put {option} last"
        )
    return target


def _same(target: Path, word: str) -> bool:
    """Return whether `word` names the file `target`, however it is spelled."""
    try:
        return str(target) == word or target.samefile(located(word))
    except (OSError, ValueError):
        # One of them does not exist, or the word is a text that no file can be named.
        return False


def print_json(text: str) -> None:
    """Print a JSON text such that a program can read it in every locale.

    JSON is UTF-8. Where standard output has another encoding, characters beyond ASCII are written as the escape
    sequences of JSON; to a terminal they are written as they are.
    """
    utf8 = codecs.lookup(sys.stdout.encoding or "utf-8").name == "utf-8"
    if not utf8 and not sys.stdout.isatty():
        text = re.sub(r"[^\x00-\x7f]", lambda found: json.dumps(found.group())[1:-1], text)
    print(text)


def process_started() -> float:
    """Return when this process started, on the monotonic clock: a time budget includes the imports."""
    return time.monotonic() - (time.time() - psutil.Process().create_time())


def console() -> Console:
    """Return the console for results; tables are not cut to 80 columns when the output is a file."""
    plain = not sys.stdout.isatty()
    return Console(width=140 if plain else None, highlight=False, soft_wrap=plain)


def work_console() -> Console:
    """Return the console of a command whose results are files: a display that fails does not stop the work."""
    stream = display()
    plain = not stream.isatty()
    return Console(file=stream, width=140 if plain else None, highlight=False, soft_wrap=plain)


def option_lines(items: Iterable[Option], indent: str = "  ") -> list[str]:
    """Return the help lines of configuration options: key, type, default, meaning."""
    lines = []
    for item in items:
        default = f" (default: {item.default})" if item.default else ""
        lines.append(f"{indent}{item.key}: {item.type}{default}")
        if item.doc:
            lines.extend(f"{indent}    {line.strip()}" for line in item.doc.strip().splitlines())
    return lines


def main_of(add: Callable[[argparse.ArgumentParser], None], run: Callable[[argparse.Namespace], int]) -> Any:
    """Return a ``main(argv, name)`` for a module that offers `SUMMARY`, `add_arguments` and `run`."""

    def main(argv: Sequence[str] | None = None, name: str | None = None) -> int:
        tune_process()
        silence_known_warnings()
        module = sys.modules[run.__module__]
        epilog = getattr(module, "epilog", None)
        asked = sys.argv[1:] if argv is None else list(argv)
        wants_help = epilog is not None and any(word in ("-h", "--help") for word in asked)
        parser = make_parser(name or sys.argv[0], module.SUMMARY, epilog() if wants_help and epilog else "")
        add(parser)
        return run_command(run, parser.parse_args(asked))

    return main
