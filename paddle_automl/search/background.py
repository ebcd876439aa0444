"""Background work during a search, in the trials' slots: one job at a time, when a slot is free."""

from __future__ import annotations

from abc import ABC, abstractmethod

from paddle_automl.search.executors.base import Failed, Finished, Job

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
