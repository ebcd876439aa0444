"""The server's memory over many requests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.stats import theilslopes

from paddle_automl.benchmarks.serving.process import Server
from paddle_automl.serving.client import drive
from paddle_automl.serving.loads import described, tensor_requests

PARTS = 40
"""Number of times that the memory is read."""
NOTHING_MB = 1.0
"""Slope that is called nothing: 10 bytes for each of 100,000 requests."""
WARM = 0.25
"""Fraction of the requests after which it counts: by then, caches and the allocator are filled."""


def measure(server: Server, *, requests: int, connections: int, tell: Callable[[str], None]) -> dict[str, Any]:
    """Return the memory after each part of the requests, and its slope in MB for `requests` requests.

    `constant`: the slope's interval reaches 0, or the slope is below `NOTHING_MB`.
    """
    each = max(1, requests // PARTS)
    readings, errors = [], 0
    found = asyncio.run(described(server.target))
    sent = tensor_requests(server.target, found[0], binary=True)
    for part in range(PARTS):
        load = asyncio.run(drive(server.target, sent, connections, 3600.0, each))
        errors += load.errors
        readings.append(server.memory_mb())
        tell(f"{(part + 1) * each} of {requests} requests, {readings[-1]:.1f} MB")
    return line(readings[round(WARM * PARTS) :], per=PARTS) | {
        "requests": each * PARTS,
        "errors": errors,
        "memory_mb": [round(value, 2) for value in readings],
    }


def line(readings: list[float], per: int) -> dict[str, Any]:
    """Return the slope of readings over `per` steps with its 95% interval, and whether they are constant.

    The slope is the median of those between all pairs of readings (Theil 1950, Sen 1968): memory comes in steps of
    an allocator, and one of them at an end must not decide.
    """
    slope, _, low, high = theilslopes(readings, np.arange(len(readings)), 0.95)
    return {
        "slope_mb": round(float(slope * per), 3),
        "interval_mb": [round(float(low * per), 3), round(float(high * per), 3)],
        "constant": bool(low <= 0 or slope * per < NOTHING_MB),
    }
