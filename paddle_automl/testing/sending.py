"""Sending objects to other processes."""

from __future__ import annotations

from multiprocessing.reduction import ForkingPickler
from typing import TypeVar

T = TypeVar("T")


def sent(value: T) -> T:
    """Return a value as another process would receive it."""
    received: T = ForkingPickler.loads(ForkingPickler.dumps(value))
    return received
