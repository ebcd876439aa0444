"""Background work during a search, in the trials' slots: one job at a time, when a slot is free."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections import deque

from paddle_automl.search.executors.base import KILL_WAIT_S, Event, Executor, Failed, Finished, Job, Reported
from paddle_automl.search.records import INTERRUPTED

POLL_S = 0.25
"""Longest wait for events of the executor, before other conditions are looked at."""
BACKGROUND = -1
"""Id of the background job for the executor; trials count from 0."""


class Background(ABC):
    """Source of background jobs, asked when a slot is free and a trial could start; its job runs first.

    At the deadline, and when the search ends, a job that still runs is killed.
    """

    @abstractmethod
    def next(self) -> Job | None:
        """Return the job to run now, or None."""

    @abstractmethod
    def on_end(self, event: Finished | Failed) -> None:
        """Called when the job has ended, also when it was killed."""


class BackgroundSlot:
    """Runs the jobs of `background`, at most one at a time; without it there are none.

    `ended`: whether one has ended. Events of trials that arrive while it waits for a killed job are appended to
    `inbox`.
    """

    def __init__(self, executor: Executor, background: Background | None, inbox: deque[Event]) -> None:
        self.executor = executor
        self.background = background
        self.inbox = inbox
        self.busy = False
        self.ended = False

    def start(self) -> None:
        """Start the next job if there is one and a slot is free."""
        if self.background is None or self.busy or self.executor.free == 0:
            return
        job = self.background.next()
        if job is not None:
            self.busy = True
            self.executor.submit(BACKGROUND, job)

    def end(self) -> None:
        """Kill the job; a result that it had just finished is kept."""
        if not self.busy:
            return
        self.executor.kill(BACKGROUND, INTERRUPTED)
        give_up = time.monotonic() + KILL_WAIT_S
        while self.busy and time.monotonic() < give_up:
            for event in self.executor.poll(POLL_S):
                if event.id == BACKGROUND:
                    self.handle(event)
                else:
                    self.inbox.append(event)

    def handle(self, event: Event) -> None:
        """Let the job continue after a report, or note that it has ended."""
        assert self.background is not None
        if isinstance(event, Reported):
            self.executor.reply(BACKGROUND, go_on=True)
            return
        self.busy = False
        self.ended = True
        self.background.on_end(event)
