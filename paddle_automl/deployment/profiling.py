"""Where the time of predictions goes: first call, decoding, preprocessing, network, answers."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from paddle_automl.core.errors import AutoMLError, ConfigError, DataError
from paddle_automl.core.runtime import processor_name
from paddle_automl.deployment.predictor import Predictor
from paddle_automl.inputs.base import Source

PARTS = ("decoding", "preprocessing", "network", "answers")
"""Decoding: from a source to an item in memory. Preprocessing: from items to the network's arrays. Network: its
run. Answers: from outputs to labels and probabilities."""
LEAST_S = 0.5
"""All batches are repeated until so many seconds are measured."""
MOST_REPEATS = 200


@dataclass(frozen=True)
class Profile:
    """Times of predictions, ms. Parts are means per item; their sum is about `total_ms`."""

    parts_ms: dict[str, float]
    """Mean time of each part, by name (`PARTS`), per item."""
    total_ms: float
    """Mean time of everything, measured from the first to the last moment of a pass, per item."""
    first_call_ms: float
    """Time of the very first batch, in which the runtime chooses kernels and allocates memory."""
    load_ms: float
    """Time of opening the bundle and loading its network; 0 if it was not measured."""
    items: int
    """Items that were read; those that cannot be read are left out."""
    batch_size: int
    passes: int
    """How often all items were predicted."""
    conditions: dict[str, Any] = field(default_factory=dict)
    """Format, runtime, threads, device and processor."""

    @property
    def sum_ms(self) -> float:
        """The sum of the parts."""
        return sum(self.parts_ms.values())

    def as_dict(self) -> dict[str, Any]:
        """Return everything as JSON-like data."""
        rounded = {name: round(value, 4) for name, value in self.parts_ms.items()}
        return {
            **{name: round(getattr(self, name), 4) for name in ("load_ms", "first_call_ms", "total_ms")},
            "parts_ms": rounded,
            **{name: getattr(self, name) for name in ("items", "batch_size", "passes")},
            **self.conditions,
        }

    def table(self) -> str:
        """Return a table for people."""
        what = self.conditions
        lines = [
            f"{what['runtime']} ({what['format']}), {what['threads']} thread(s), {what['device']}, "
            f"{what['processor']}",
            f"{self.items} items in batches of {self.batch_size}, {self.passes} passes; milliseconds per item",
            f"{'load':<14} {self.load_ms:9.2f}  once: bundle and network",
            f"{'first call':<14} {self.first_call_ms:9.2f}  once: the first batch, all parts",
        ]
        for name, value in self.parts_ms.items():
            lines.append(f"{name:<14} {value:9.4f}  {100 * value / self.total_ms:5.1f} %")
        lines.append(f"{'sum of parts':<14} {self.sum_ms:9.4f}  {100 * self.sum_ms / self.total_ms:5.1f} %")
        lines.append(f"{'total':<14} {self.total_ms:9.4f}  {1000 / self.total_ms:,.0f} items per second")
        return "\n".join(lines)


def profile(
    predictor: Predictor, sources: Sequence[Source], *, threads: int = 1, batch_size: int = 32, load_ms: float = 0.0
) -> Profile:
    """Predict `sources` as `Predictor.predict` does, again and again, and time its parts.

    `threads` read items, as they do for the predictor; with several, decoding counts the time until all of a batch
    are read. `load_ms` is the time that making the predictor took. Nothing may have been predicted before, as the
    first batch is timed as the first call. Raises DataError if no source can be read.
    """
    if batch_size < 1:
        raise ConfigError(f"batch_size: must be at least 1, got {batch_size}")
    with ThreadPoolExecutor(threads) as pool:
        first = 0.0
        known: list[Source] = []
        for start in range(0, len(sources), batch_size):
            started = time.perf_counter()
            read = _predict(predictor, sources[start : start + batch_size], pool, {})
            if read and not known:
                first = time.perf_counter() - started
            known += read
        if not known:
            raise DataError("none of the items can be read, so nothing can be timed")
        batches = [known[start : start + batch_size] for start in range(0, len(known), batch_size)]
        parts = dict.fromkeys(PARTS, 0.0)
        passes = 0
        started = time.perf_counter()
        while passes < 2 or (time.perf_counter() - started < LEAST_S and passes < MOST_REPEATS):
            for batch in batches:
                _predict(predictor, batch, pool, parts)
            passes += 1
        total = time.perf_counter() - started
    scale = 1000 / (passes * len(known))
    return Profile(
        {name: seconds * scale for name, seconds in parts.items()},
        total * scale,
        first * 1000,
        load_ms,
        len(known),
        batch_size,
        passes,
        _conditions(predictor, threads),
    )


def _predict(
    predictor: Predictor, batch: Sequence[Source], pool: ThreadPoolExecutor, parts: dict[str, float]
) -> list[Source]:
    """Predict one batch, adding the seconds of each part; return the sources that can be read."""

    def read(source: Source) -> np.ndarray | None:
        try:
            return predictor.read(source)
        except AutoMLError:
            return None

    moments = [time.perf_counter()]
    found = list(pool.map(read, batch))
    items = [item for item in found if item is not None]
    if items:
        stacked = np.stack(items)
        moments.append(time.perf_counter())
        arrays = predictor.input.batch(stacked)
        moments.append(time.perf_counter())
        raw = predictor.run(arrays)
        moments.append(time.perf_counter())
        predictor.answer(raw)
        moments.append(time.perf_counter())
        for name, start, end in zip(PARTS, moments, moments[1:], strict=False):
            parts[name] = parts.get(name, 0.0) + end - start
    return [source for source, item in zip(batch, found, strict=True) if item is not None]


def _conditions(predictor: Predictor, threads: int) -> dict[str, Any]:
    return {
        "format": predictor.format,
        "runtime": predictor.runtime_name,
        "threads": threads,
        "device": predictor.device,
        "processor": processor_name(),
    }
