"""A bundle behind the server: reading items in threads, running the network in batches."""

from __future__ import annotations

import asyncio
import math
import re
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any

import numpy as np

from paddle_automl.core.errors import AutoMLError, DataError
from paddle_automl.deployment.predictor import Prediction, Predictor, Raw, joined
from paddle_automl.inputs.base import Arrays, Media
from paddle_automl.serving.batcher import Batcher, Job, whole
from paddle_automl.serving.errors import RequestError, busy
from paddle_automl.serving.metrics import Metrics
from paddle_automl.serving.network import ServedPredictor
from paddle_automl.serving.options import Limits

PARALLEL = 2
"""Batches on their way at one time: one that is computed, and one that waits in front of the network."""
READERS = 2
"""Threads that read items, such as decoding images."""
ITEMS, ARRAYS = "items", "arrays"
MOST_OPEN = 2**18
"""Most numbers of one array of a request along its open axes, all items together."""


@dataclass(frozen=True)
class _Item:
    """An item that was read, and its size in `Media.unit`."""

    content: np.ndarray
    extent: int


class ServedModel:
    """A predictor whose items are read in threads and predicted in micro-batches.

    `name` is the model's name in addresses. All methods belong to the event loop's thread. It is `ready` after
    `warm_up`, and no longer once it is closed.
    """

    def __init__(self, predictor: Predictor, name: str, limits: Limits, metrics: Metrics) -> None:
        self.predictor, self.name, self.limits, self.metrics = predictor, name, limits, metrics
        self.ready = False
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="reader")
        self._runner = ThreadPoolExecutor(PARALLEL, thread_name_prefix="runner")
        self._reading = 0
        self._open = any(None in spec.shape for spec in predictor.bundle.info.inputs)
        self._batcher = Batcher(
            self._run,
            batch=limits.batch,
            wait_s=limits.wait_ms / 1000,
            queue=limits.queue,
            parallel=PARALLEL,
            formed=metrics.batches.observe,
        )
        metrics.waiting.set_function(lambda: self.busy)

    @property
    def media(self) -> Media | None:
        """Return how people hand over an item, or None if only arrays are taken."""
        return self.predictor.input.media

    @property
    def busy(self) -> int:
        """Return the number of items that are read or wait for the network."""
        return self._reading + self._batcher.rows

    @property
    def running(self) -> int:
        """Return the number of items of the batches on their way."""
        return self._batcher.running

    @property
    def word(self) -> str:
        """Return the word for one item: image, text."""
        return self.predictor.input.word

    @property
    def extent(self) -> int:
        """Return the largest item that is read, in `Media.unit`."""
        most = self.media.most if self.media else 1
        return self.limits.extent or most

    async def warm_up(self) -> None:
        """Run the network with each size of a batch, so that no request meets its first, slow runs."""
        rng = np.random.default_rng(0)
        # The largest first: smaller ones find its memory.
        for size in range(self.limits.batch, 0, -1):
            arrays = self.predictor.input.example(size, rng)
            await self._run((ARRAYS,), [arrays])
        self.ready = True

    async def close(self) -> None:
        """Take no more items, and wait for those that are taken."""
        self.ready = False
        await self._batcher.close()
        for pool in (self._readers, self._runner):
            pool.shutdown(wait=False, cancel_futures=True)

    def check_count(self, count: int) -> None:
        """Raise RequestError for a request with no items or too many."""
        if count < 1:
            raise RequestError(400, f"the request has no {self.word}")
        if count > self.limits.items:
            raise RequestError(
                413, f"the request has {count} {self.word}s, more than the {self.limits.items} allowed"
            )

    async def predict(self, sources: Sequence[Any], names: Sequence[str] | None = None) -> list[Prediction]:
        """Return a prediction per source (bytes or a text); one that cannot be read has an `error`.

        Raises RequestError for a wrong number of sources, and if there is no room.
        """
        self._must_be_ready()
        self.check_count(len(sources))
        names = names or [self.word] * len(sources)
        read = await self._read(sources)
        items = [item for item in read if isinstance(item, _Item)]
        rows = iter(await self._predict_items(items) if items else ())
        return [
            replace(next(rows), source=source, name=name)
            if isinstance(item, _Item)
            else Prediction(source, error=_sentence(item), name=name)
            for source, name, item in zip(sources, names, read, strict=True)
        ]

    def submit(self, arrays: Arrays) -> Job:
        """Queue arrays ``[N, ...]`` by name; `done` takes the job when its future has a result.

        Raises DataError if they do not fit, RequestError for too many items or if there is no room.
        """
        self._must_be_ready()
        self.predictor.check_arrays(arrays)
        count = _count(arrays)
        self.check_count(count)
        self._check_numbers(arrays)
        shapes = tuple((name, array.shape[1:], array.dtype.str) for name, array in arrays.items())
        parts = [{name: array[rows] for name, array in arrays.items()} for rows in self._runs(count)]
        jobs = self._batcher.submit_all([((ARRAYS, shapes), part, _count(part)) for part in parts])
        return whole(jobs, joined)

    def _runs(self, count: int) -> list[slice]:
        """Return the parts of a request's items, of which each fits into one run of the network."""
        return [slice(start, start + self.limits.batch) for start in range(0, count, self.limits.batch)]

    def _check_numbers(self, arrays: Arrays) -> None:
        """Raise DataError for numbers that a network cannot take, or that would take too much memory."""
        for spec in self.predictor.bundle.info.inputs:
            array = arrays[spec.name]
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                raise DataError(f"'{spec.name}' has values that are not finite numbers")
            if None in spec.shape and array.size > MOST_OPEN:
                raise DataError(f"'{spec.name}' has {array.size:,} numbers, more than the {MOST_OPEN:,} allowed")

    def _must_be_ready(self) -> None:
        if not self.ready:
            raise busy("the model is not ready")

    async def _read(self, sources: Sequence[Any]) -> list[_Item | str]:
        if self.busy + len(sources) > max(self.limits.queue, len(sources)):
            raise busy(f"{self.busy} items are waiting; try again later")
        started, loop = time.monotonic(), asyncio.get_running_loop()
        self._reading += len(sources)
        try:
            work = [loop.run_in_executor(self._readers, self._read_one, source) for source in sources]
            return list(await asyncio.gather(*work))
        finally:
            self._reading -= len(sources)
            self.metrics.took("read", time.monotonic() - started)

    def _read_one(self, source: Any) -> _Item | str:
        """Return one item, or why it cannot be read; in a thread of its own."""
        try:
            size = self.predictor.input.extent(source)
            if size > self.extent:
                unit = self.media.unit if self.media else ""
                return f"{self.word}: has {size:,} {unit}, more than the {self.extent:,} allowed"
            return _Item(self.predictor.read(source), size)
        except (AutoMLError, OSError) as error:
            return str(error)

    async def _predict_items(self, items: list[_Item]) -> list[Prediction]:
        """Return a prediction per item; items of the same kind share jobs."""
        groups: dict[Any, list[int]] = {}
        for number, item in enumerate(items):
            groups.setdefault(self._kind(item), []).append(number)
        parts = [(kind, every[rows]) for kind, every in groups.items() for rows in self._runs(len(every))]
        found: dict[int, Prediction] = {}
        jobs = self._batcher.submit_all(
            [(kind, np.stack([items[row].content for row in rows]), len(rows)) for kind, rows in parts]
        )
        try:
            for (_, rows), job in zip(parts, jobs, strict=True):
                found.update(zip(rows, self.predictor.answer(await self.result(job)), strict=True))
        finally:
            # If one fails or all are late, nobody waits for the others.
            for job in jobs:
                job.future.cancel()
        return [found[number] for number in range(len(items))]

    def _kind(self, item: _Item) -> Any:
        """Return what items of one batch have in common.

        Along an open axis items are padded to the largest of their batch, so a long text gets no short ones: at
        most four times as long.
        """
        size = int(math.log(max(item.extent, 1), 4)) if self._open else 0
        return ITEMS, item.content.shape, item.content.dtype.str, size

    async def result(self, job: Job) -> Any:
        """Wait for a job, and return as `done`; a job whose waiting is cancelled is not run any more."""
        await job.future
        return self.done(job)

    def done(self, job: Job) -> Any:
        """Return the result of a job whose future is done, and record its times; raises what it failed with."""
        result = job.future.result()
        self.metrics.took("queue", job.started - job.arrived)
        self.metrics.took("network", job.took)
        self.metrics.items.inc(job.rows)
        return result

    async def _run(self, kind: Any, contents: Sequence[Any]) -> list[Raw]:
        """Run one batch; returns the results of each job."""
        if kind[0] == ITEMS:
            counts, loop = [len(items) for items in contents], asyncio.get_running_loop()
            parts: Sequence[Arrays] = [await loop.run_in_executor(self._runner, self._prepared, contents)]
        else:
            counts, parts = [_count(arrays) for arrays in contents], contents
        raw, ends = await self._network(parts), accumulate(counts)
        return [_rows(raw, slice(end - count, end)) for end, count in zip(ends, counts, strict=True)]

    def _prepared(self, contents: Sequence[np.ndarray]) -> Arrays:
        """Return the arrays of read items; in the runner's thread."""
        return self.predictor.input.batch(contents[0] if len(contents) == 1 else np.concatenate(contents))

    async def _network(self, parts: Sequence[Arrays]) -> Raw:
        """Return the network's results for arrays that follow each other along the batch axis."""
        if isinstance(self.predictor, ServedPredictor):
            return await self.predictor.run_parts(parts)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._runner, lambda: self.predictor.run(_joined(parts)))


def name_of(text: str) -> str:
    """Return a model's name that can stand in an address: letters, digits, ``-``, ``_`` and ``.``."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", text).strip("-.") or "model"


def _rows(raw: Raw, rows: slice) -> Raw:
    """Return the results of some items of a batch."""
    return replace(raw, outputs=raw.outputs[rows], known=None if raw.known is None else raw.known[rows])


def _count(arrays: Arrays) -> int:
    """Return the number of items."""
    return len(next(iter(arrays.values())))


def _joined(contents: Sequence[Arrays]) -> Arrays:
    if len(contents) == 1:
        return contents[0]
    return {name: np.concatenate([arrays[name] for arrays in contents]) for name in contents[0]}


def _sentence(text: str) -> str:
    """Return a message in one line."""
    return " ".join(text.split())
