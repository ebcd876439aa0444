"""The server's memory over many requests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import numpy as np

from paddle_automl.benchmarks.serving.process import Server
from paddle_automl.serving.client import drive
from paddle_automl.serving.loads import described, tensor_requests

PARTS = 40
"""Number of times that the memory is read."""
WARM = 0.25
"""Fraction of the requests after which it counts: by then, caches and the allocator are filled."""


def measure(server: Server, *, requests: int, connections: int, tell: Callable[[str], None]) -> dict[str, Any]:
    """Return the memory after each part of the requests, and its slope in MB for `requests` requests.

    The slope's standard error comes from the deviations of the line through the readings. `constant`: the slope is
    within twice that error, or below 1 MB.
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
    """Return the slope of readings over `per` steps, its standard error, and whether they are constant."""
    steps = np.arange(len(readings), dtype=np.float64)
    slope, start = np.polyfit(steps, readings, 1)
    left = np.asarray(readings) - (start + slope * steps)
    error = np.sqrt((left**2).sum() / max(1, len(readings) - 2) / ((steps - steps.mean()) ** 2).sum())
    rise, noise = float(slope * per), float(error * per)
    return {
        "slope_mb": round(rise, 3),
        "slope_error_mb": round(noise, 3),
        "constant": rise <= max(1.0, 2 * noise),
    }
