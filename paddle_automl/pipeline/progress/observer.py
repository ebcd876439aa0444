"""The interface of displays for commands; the base class shows nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import TracebackType

from paddle_automl.pipeline.config import RunConfig
from paddle_automl.search.listener import Listener
from paddle_automl.search.records import TrialRecord


class Observer(Listener):
    """Receives the events of trials, as a listener of the search, and of other jobs."""

    def __enter__(self) -> Observer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the display."""

    def begin(self, config: RunConfig) -> None:
        """Receive the settled configuration before the first stage."""

    def plan(
        self,
        records: Sequence[TrialRecord],
        describe: Callable[[TrialRecord], str],
        time_left: Callable[[], float | None],
    ) -> None:
        """Receive the trials of an earlier start, a function that describes a trial, and one for the time left."""

    def job(self, name: str, epochs: int | None = None) -> Callable[[int, Mapping[str, float]], None]:
        """Receive the start of a job; return a function that is called with each of its reports.

        A report is an epoch with its metrics, or the number of items that are done with ``items``, all of them, and
        perhaps ``most_s``, the seconds after which the job ends anyway.
        """
        return lambda epoch, metrics: None
