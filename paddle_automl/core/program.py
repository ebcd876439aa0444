"""How this program was called, so that the commands it suggests can be pasted into the same shell."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path


def command(name: str) -> str:
    """Return how to call the command `name` in the same way as this one was called.

    ``python tools/train.py``, ``paddle-automl train``, or ``python -m paddle_automl train``, which also works for
    users of the package from Python.
    """
    called = Path(sys.argv[0])
    beside = called.with_name(f"{name}.py")
    if called.suffix == ".py" and called.parent.name == "tools" and beside.is_file():
        return f"{_python()} {shlex.quote(str(beside))}"
    if called.stem == "paddle-automl":
        found = shutil.which(called.name)
        installed = found is not None and os.path.realpath(found) == os.path.realpath(called)
        return f"{called.name if installed else shlex.quote(str(called))} {name}"
    return f"{_python()} -m paddle_automl {name}"


def _python() -> str:
    """Return this interpreter, by its bare name if the shell finds it by that name."""
    found = shutil.which(Path(sys.executable).name)
    return Path(found).name if found == sys.executable else shlex.quote(sys.executable)
