"""Ctrl-C, SIGTERM and SIGHUP as a request to end, so that they never interrupt a write."""

from __future__ import annotations

import signal
from contextlib import ExitStack
from typing import Any

from paddle_automl.core import signals


class CtrlC:
    """While active, records the first such signal in `pressed`; a second Ctrl-C raises KeyboardInterrupt at once.

    Outside the main thread, where Python delivers no signals, it does nothing.
    """

    def __init__(self) -> None:
        self.pressed = False
        self._stack = ExitStack()

    def __enter__(self) -> CtrlC:
        self.pressed = False
        self._stack.enter_context(signals.handling(self._note, ctrl_c=True))
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    def _note(self, number: int, frame: Any) -> None:
        del frame
        signals.note(number)
        # A terminal that closes, or a system that shuts down, sends its signal more than once.
        if self.pressed and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.pressed = True
