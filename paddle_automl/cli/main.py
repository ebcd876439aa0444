"""``python -m paddle_automl COMMAND``: finds the module of a command and runs it."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

from paddle_automl.core.errors import did_you_mean

COMMANDS = ("search", "train", "evaluate", "export", "predict", "compress", "describe", "qtable")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command named first; return its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] in ("-h", "--help"):
        print(usage())
        return 0 if words else 2
    name = words.pop(0)
    if name not in COMMANDS:
        sys.stderr.write(f"error: unknown command '{name}'{did_you_mean(name, COMMANDS)}\n{usage()}\n")
        return 2
    module = importlib.import_module(f"paddle_automl.cli.{name}")
    code: int = module.main(words, f"paddle-automl {name}")
    return code


def usage() -> str:
    """Return the list of commands with the first line of each."""
    lines = ["usage: python -m paddle_automl COMMAND [options]", ""]
    for name in COMMANDS:
        lines.append(f"  {name:<9} {importlib.import_module(f'paddle_automl.cli.{name}').SUMMARY}")
    return "\n".join([*lines, "", "python -m paddle_automl COMMAND --help tells the options of a command."])
