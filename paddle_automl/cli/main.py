"""``python -m paddle_automl COMMAND``: finds the module of a command and runs it.

A command is one file of this folder that has `SUMMARY` (a line of text), `add_arguments` and `run`. The files are
parsed, not imported: listing the commands does not import Paddle.
"""

from __future__ import annotations

import ast
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

from paddle_automl import cli
from paddle_automl.core.errors import did_you_mean

FUNCTIONS = frozenset({"add_arguments", "run"})


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command named first; return its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] in ("-h", "--help"):
        print(usage())
        return 0 if words else 2
    name = words.pop(0)
    known = commands()
    if name not in known:
        sys.stderr.write(f"error: unknown command '{name}'{did_you_mean(name, known)}\n{usage()}\n")
        return 2
    # Imported for a command that is run, and not for the list of commands.
    from paddle_automl.cli.common import main_of

    module = importlib.import_module(f"paddle_automl.cli.{name}")
    code: int = main_of(module.add_arguments, module.run)(words, f"paddle-automl {name}")
    return code


def commands() -> dict[str, str]:
    """Return the summary of each command by its name, in alphabetical order."""
    files = [file for folder in cli.__path__ for file in Path(folder).glob("*.py")]
    found = {file.stem: _summary(file) for file in sorted(files, key=lambda file: file.stem)}
    return {name: summary for name, summary in found.items() if summary is not None}


def usage() -> str:
    """Return the list of commands with the summary of each."""
    known = commands()
    width = max(map(len, known))
    lines = [f"  {name:<{width}} {summary}" for name, summary in known.items()]
    return "\n".join(
        [
            "usage: python -m paddle_automl COMMAND [options]",
            "",
            *lines,
            "",
            "python -m paddle_automl COMMAND --help lists the options of a command.",
        ]
    )


def _summary(file: Path) -> str | None:
    """Return the `SUMMARY` of a file; None for a file that is not a command."""
    body = ast.parse(file.read_bytes()).body
    functions = {node.name for node in body if isinstance(node, ast.FunctionDef)}
    if not functions >= FUNCTIONS:
        return None
    for node in body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
            names = [target.id for target in node.targets if isinstance(target, ast.Name)]
            if "SUMMARY" in names and isinstance(node.value.value, str):
                return node.value.value
    return None
