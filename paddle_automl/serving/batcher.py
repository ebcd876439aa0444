"""Dynamic micro-batching: items of several requests in one run of the network."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any

from paddle_automl.serving.errors import RequestError, busy

AHEAD_S, AHEAD = 0.0015, 0.5
"""How long before the expected end of a batch the next one is formed: seconds, and at most this fraction of it."""
CLOCK_S = 0.0006
"""Precision of the event loop's clock, which counts milliseconds."""
MEMORY = 0.1
"""Weight of the last batch in the expected time of an item."""


@dataclass(eq=False)
class Job:
    """One request's share of a batch: `rows` items, and the future of their results.

    Jobs of the same `kind` may share a batch: their arrays can be joined.
    """

    kind: Hashable
    content: Any
    rows: int
    future: asyncio.Future[Any]
    arrived: float = field(default_factory=time.monotonic)
    started: float = 0.0
    """When the network was free for its batch, on the monotonic clock."""
    took: float = 0.0
    """Seconds of the batch's run."""


def whole(parts: Sequence[Job], join: Callable[[list[Any]], Any]) -> Job:
    """Return one job for the parts of a request, done when all are; its result is what `join` makes of theirs.

    It fails with the first part that does; then, and if it is cancelled, parts that have not begun are not run.
    """
    if len(parts) == 1:
        return parts[0]
    future = asyncio.get_running_loop().create_future()
    job = Job(parts[0].kind, None, sum(part.rows for part in parts), future, arrived=parts[0].arrived)

    def part_done(done: asyncio.Future[Any]) -> None:
        # Looked at even if it is not the first: asyncio tells of errors that nobody has seen.
        error = None if done.cancelled() else done.exception()
        if future.done():
            return
        if done.cancelled():
            future.cancel()
        elif error is not None:
            future.set_exception(error)
        elif all(part.future.done() for part in parts):
            job.started, job.took = parts[0].started, sum(part.took for part in parts)
            future.set_result(join([part.future.result() for part in parts]))

    def job_done(_: asyncio.Future[Any]) -> None:
        for part in parts:
            part.future.cancel()

    for part in parts:
        part.future.add_done_callback(part_done)
    future.add_done_callback(job_done)
    return job


Run = Callable[[Hashable, Sequence[Any]], Awaitable[Sequence[Any]]]
"""From the contents of the jobs of one batch to one result each."""


class Batcher:
    """Collects jobs and runs them in batches.

    A batch starts when `batch` items are there. It starts with fewer if the network is idle and the first has
    waited `wait_s`, or if the batch that runs is expected to end soon, so that the network finds the next one when
    it has finished. So while some clients read their answers and ask again, the network computes those of others.
    At most `parallel` batches are on their way, of which the network computes one; at most `queue` items wait. If a
    run fails, each job of the batch is run alone, so that only the faulty one fails.

    All methods belong to the event loop's thread.
    """

    def __init__(
        self,
        run: Run,
        *,
        batch: int,
        wait_s: float,
        queue: int,
        parallel: int = 1,
        formed: Callable[[int], None] = lambda rows: None,
    ) -> None:
        self._run, self._formed = run, formed
        self._batch, self._wait_s, self._queue, self._parallel = batch, wait_s, queue, parallel
        self._jobs: deque[Job] = deque()
        self._timer: asyncio.TimerHandle | asyncio.Handle | None = None
        self._due_at = 0.0
        self._running: list[list[Job]] = []
        self._item_s = 0.0
        self._closed = False
        self.rows = 0
        """Items that wait."""

    @property
    def running(self) -> int:
        """Return the number of items of the batches that run."""
        return sum(job.rows for jobs in self._running for job in jobs)

    def submit(self, kind: Hashable, content: Any, rows: int) -> Job:
        """Add a job; raises RequestError (503) if too many items wait already."""
        self._must_have_room(rows)
        return self._add(kind, content, rows)

    def submit_all(self, parts: Sequence[tuple[Hashable, Any, int]]) -> list[Job]:
        """Add the jobs of one request, each of a kind, a content and a number of items: all or none."""
        self._must_have_room(sum(rows for _, _, rows in parts))
        return [self._add(*part) for part in parts]

    def _must_have_room(self, rows: int) -> None:
        if self._closed:
            raise busy("the server is stopping")
        if self.rows and self.rows + rows > self._queue:
            raise busy(f"{self.rows} items are waiting for the network; try again later")

    def _add(self, kind: Hashable, content: Any, rows: int) -> Job:
        job = Job(kind, content, rows, asyncio.get_running_loop().create_future())
        self._jobs.append(job)
        self.rows += rows
        self._look()
        return job

    async def close(self) -> None:
        """Refuse new jobs, and wait until all others are done."""
        self._closed = True
        self._look()
        waiting = [job.future for jobs in (self._jobs, *self._running) for job in jobs]
        if waiting:
            await asyncio.wait(waiting)

    def _look(self, *, read: bool = False) -> None:
        """Start the batches that are ready; for others come back when they will be.

        `read`: whether all requests that have arrived are read; else that is waited for, so that they share one.
        """
        while len(self._running) < self._parallel:
            while self._jobs and self._jobs[0].future.done():
                self._drop()
            if not self._jobs:
                return
            if self.rows < self._batch and not self._closed:
                due, now = self._due_time(), time.monotonic()
                if due > now + CLOCK_S or not read:
                    self._come_back(max(due, now), now)
                    return
            self._start()

    def _due_time(self) -> float:
        """Return when the next batch is to start if it does not fill before."""
        due = self._jobs[0].arrived + self._wait_s
        if self._running:
            first = self._running[0]
            takes = self._item_s * sum(job.rows for job in first)
            due = max(due, first[0].started + takes - min(AHEAD_S, AHEAD * takes))
        return due

    def _come_back(self, due: float, now: float) -> None:
        if self._timer is not None:
            if self._due_at <= due:
                return
            self._timer.cancel()
        loop, self._due_at = asyncio.get_running_loop(), due
        self._timer = loop.call_later(due - now, self._due) if due > now else loop.call_soon(self._due)

    def _due(self) -> None:
        self._timer = None
        self._look(read=True)

    def _drop(self) -> Job:
        job = self._jobs.popleft()
        self.rows -= job.rows
        return job

    def _take(self) -> list[Job]:
        """Return the next batch: jobs of the first one's kind in their order; the others stay."""
        first = self._drop()
        taken, rows, others = [first], first.rows, []
        while self._jobs and rows < self._batch:
            job = self._drop()
            if job.future.done():
                continue
            if job.kind == first.kind and rows + job.rows <= self._batch:
                taken.append(job)
                rows += job.rows
            else:
                others.append(job)
        for job in reversed(others):
            self._jobs.appendleft(job)
            self.rows += job.rows
        self._formed(rows)
        return taken

    def _start(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        jobs, now = self._take(), time.monotonic()
        for job in jobs:
            job.started = now
        self._running.append(jobs)
        work = asyncio.get_running_loop().create_task(self._work(jobs))
        work.add_done_callback(lambda done: self._finished(jobs, done))

    async def _work(self, jobs: list[Job]) -> list[Any]:
        """Run the jobs together, or, if that fails, each alone; an exception stands for the result of one."""
        try:
            return list(await self._run(jobs[0].kind, [job.content for job in jobs]))
        except Exception as error:  # noqa: BLE001  the clients get it as their answer
            return [error] if len(jobs) == 1 else [await self._alone(job) for job in jobs]

    async def _alone(self, job: Job) -> Any:
        try:
            return (await self._run(job.kind, [job.content]))[0]
        except Exception as error:  # noqa: BLE001  as above
            return error

    def _finished(self, jobs: list[Job], work: asyncio.Task[list[Any]]) -> None:
        now = time.monotonic()
        self._running.remove(jobs)
        took = now - jobs[0].started
        item_s = took / sum(job.rows for job in jobs)
        self._item_s += (item_s - self._item_s) * (MEMORY if self._item_s else 1.0)
        failed = None if work.cancelled() else work.exception()
        lost = RequestError(500, "the network could not be run")
        results = [failed or lost] * len(jobs) if failed or work.cancelled() else work.result()
        for job in self._running[0] if self._running else ():
            job.started = now
        for job, result in zip(jobs, results, strict=True):
            job.took = took
            if job.future.done():
                continue
            if isinstance(result, BaseException):
                job.future.set_exception(result)
            else:
                job.future.set_result(result)
        self._look(read=True)
