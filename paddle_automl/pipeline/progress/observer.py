"""What a person is shown while a command runs; the base shows nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import TracebackType

from paddle_automl.pipeline.config import RunConfig
from paddle_automl.search.listener import Listener
from paddle_automl.search.records import TrialRecord


class Observer(Listener):
    """Hears of trials as a listener of the search, and of the jobs around them."""

    def __enter__(self) -> Observer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the display."""

    def begin(self, config: RunConfig) -> None:
        """Hear of the configuration, its task settled, before the first stage."""

    def plan(
        self,
        records: Sequence[TrialRecord],
        describe: Callable[[TrialRecord], str],
        time_left: Callable[[], float | None],
    ) -> None:
        """Hear of the trials of an earlier start, of how to describe a trial, and of the time left."""

    def job(self, name: str, epochs: int | None = None) -> Callable[[int, Mapping[str, float]], None]:
        """Hear that a job starts; return a function that is called with each of its reports."""
        return lambda epoch, metrics: None
