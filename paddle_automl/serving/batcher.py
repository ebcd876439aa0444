"""Dynamic micro-batching: items of several requests in one run of the network."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any

from paddle_automl.serving.errors import RequestError, busy


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
    """When its batch began, on the monotonic clock."""
    took: float = 0.0
    """Seconds of the batch's run."""


Run = Callable[[Hashable, Sequence[Any]], Sequence[Any]]
"""From the contents of the jobs of one batch to one result each; runs in the executor."""


class Batcher:
    """Collects jobs and runs them in batches.

    A batch starts when fewer than `parallel` run and either `batch` items are there or the first has waited
    `wait_s`. So under load, when items wait for the network anyway, none waits any longer. At most `queue` items
    wait. If a run fails, each job of the batch is run alone, so that only the faulty one fails.

    All methods belong to the event loop's thread; `run` is called in `executor`.
    """

    def __init__(
        self,
        run: Run,
        executor: Executor,
        *,
        batch: int,
        wait_s: float,
        queue: int,
        parallel: int = 1,
        formed: Callable[[int], None] = lambda rows: None,
    ) -> None:
        self._run, self._executor, self._formed = run, executor, formed
        self._batch, self._wait_s, self._queue, self._parallel = batch, wait_s, queue, parallel
        self._jobs: deque[Job] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._running: list[list[Job]] = []
        self._closed = False
        self.rows = 0
        """Items that wait."""

    @property
    def running(self) -> int:
        """Return the number of items of the batches that run."""
        return sum(job.rows for jobs in self._running for job in jobs)

    def submit(self, kind: Hashable, content: Any, rows: int) -> Job:
        """Add a job; raises RequestError (503) if too many items wait already."""
        if self._closed:
            raise busy("the server is stopping")
        if self.rows and self.rows + rows > self._queue:
            raise busy(f"{self.rows} items are waiting for the network; try again later")
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

    def _look(self) -> None:
        """Start the batches that are ready; for others come back when they will be."""
        while len(self._running) < self._parallel:
            while self._jobs and self._jobs[0].future.done():
                self._drop()
            if not self._jobs:
                return
            left = self._jobs[0].arrived + self._wait_s - time.monotonic()
            if left > 0 and not self._closed and self.rows < self._batch:
                if self._timer is None:
                    self._timer = asyncio.get_running_loop().call_later(left, self._due)
                return
            self._start()

    def _due(self) -> None:
        self._timer = None
        self._look()

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
        jobs = self._take()
        self._running.append(jobs)
        work = asyncio.get_running_loop().run_in_executor(self._executor, self._work, jobs)
        work.add_done_callback(lambda done: self._finished(jobs, done))

    def _work(self, jobs: list[Job]) -> list[Any]:
        """Run the jobs together, or, if that fails, each alone; an exception stands for the result of one."""
        started = time.monotonic()
        try:
            results: list[Any] = list(self._run(jobs[0].kind, [job.content for job in jobs]))
        except Exception as error:  # noqa: BLE001  the clients get it as their answer
            results = [error] if len(jobs) == 1 else [self._alone(job) for job in jobs]
        took = time.monotonic() - started
        for job in jobs:
            job.started, job.took = started, took
        return results

    def _alone(self, job: Job) -> Any:
        try:
            return self._run(job.kind, [job.content])[0]
        except Exception as error:  # noqa: BLE001  as above
            return error

    def _finished(self, jobs: list[Job], work: asyncio.Future[list[Any]]) -> None:
        self._running.remove(jobs)
        failed = None if work.cancelled() else work.exception()
        lost = RequestError(500, "the network could not be run")
        results = [failed or lost] * len(jobs) if failed or work.cancelled() else work.result()
        for job, result in zip(jobs, results, strict=True):
            if job.future.done():
                continue
            if isinstance(result, BaseException):
                job.future.set_exception(result)
            else:
                job.future.set_result(result)
        self._look()
