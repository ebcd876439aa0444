"""The server's throughput beside that of the bare network, measured in turns."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from paddle_automl.benchmarks.serving.process import Server
from paddle_automl.core.errors import MachineError
from paddle_automl.deployment.predictor import Predictor
from paddle_automl.deployment.runtime import in_lasting_thread
from paddle_automl.serving.client import drive
from paddle_automl.serving.loads import described, tensor_requests


def measure(
    server: Server,
    predictor: Predictor,
    *,
    connections: int,
    rounds: int,
    seconds: float,
    tell: Callable[[str], None],
) -> list[dict[str, Any]]:
    """Return the figures of each round: the server under load, then the bare network at the batch size formed."""
    requests = asyncio.run(_requests(server))
    asyncio.run(drive(server.target, requests, connections, min(seconds, 2.0)))
    found = []
    for number in range(rounds):
        tell(f"round {number + 1} of {rounds}")
        figures, batch = asyncio.run(_loaded(server, requests, connections, seconds))
        if figures["p50_ms"] is None:
            raise MachineError(f"the server answered none of {figures['requests']} requests")
        bare = bare_items_per_second(predictor, max(1, round(batch)), seconds)
        found.append(
            figures
            | {
                "batch": round(batch, 2),
                "bare_per_second": round(bare, 1),
                "ratio": round(figures["per_second"] / bare, 3),
                "p99_over_p50": round(figures["p99_ms"] / figures["p50_ms"], 2),
            }
        )
    return found


def bare_items_per_second(predictor: Predictor, batch: int, seconds: float) -> float:
    """Return items per second of a network that gets one batch of ready arrays after the other."""
    arrays = predictor.input.example(batch, np.random.default_rng(0))
    session = predictor.bundle.session(name=predictor.format)

    def repeat() -> float:
        session(arrays)
        runs, started = 0, time.perf_counter()
        while time.perf_counter() - started < seconds:
            session(arrays)
            runs += 1
        return runs * batch / (time.perf_counter() - started)

    return in_lasting_thread(repeat)


async def _requests(server: Server) -> list[bytes]:
    metadata, _ = await described(server.target)
    return tensor_requests(server.target, metadata, binary=True)


async def _loaded(
    server: Server, requests: list[bytes], connections: int, seconds: float
) -> tuple[dict[str, Any], float]:
    async def counts() -> tuple[float, float]:
        name = "paddle_automl_batch_items"
        return await server.metric(f"{name}_sum"), await server.metric(f"{name}_count")

    items, batches = await counts()
    load = await drive(server.target, requests, connections, seconds)
    more_items, more_batches = await counts()
    return load.figures(), (more_items - items) / max(1.0, more_batches - batches)
