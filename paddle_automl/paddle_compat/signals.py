"""Signals of a process that loads Paddle: the program's own handlers stay, and no C++ stack trace is printed.

Paddle sets handlers of its own, below Python, in the middle of its import. Imports nothing heavy itself.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

from paddle_automl.core import signals

BASE = "paddle.base"


def keep_own_handlers() -> None:
    """Have Paddle's handlers taken away again, at once or as soon as they are there."""
    if _take_away():
        return
    if not any(isinstance(finder, _AfterPaddle) for finder in sys.meta_path):
        sys.meta_path.insert(0, _AfterPaddle())


class _AfterPaddle(MetaPathFinder):
    """Finds nothing; it sees that the next module is looked for after the one that sets the handlers."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return None: the module is found by others."""
        if fullname.startswith("paddle.") and _take_away() and self in sys.meta_path:
            sys.meta_path.remove(self)
        return None


def _take_away() -> bool:
    """Take Paddle's handlers away; return whether they had been set."""
    base = sys.modules.get(BASE)
    spec = getattr(base, "__spec__", None)
    if base is None or getattr(spec, "_initializing", False):
        return False
    base.core.disable_signal_handler()
    signals.set_again()
    return True
