"""What an executor is: it runs jobs somewhere and tells what happened to them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from paddle_automl.core.errors import TrialError
from paddle_automl.core.registry import Registry
from paddle_automl.core.schema import PluginConfig

EXECUTORS: Registry[Executor] = Registry("executor", "paddle_automl.search.executors", "search.executor")

ReportToCoordinator = Callable[[int, Mapping[str, float]], bool]
"""Called by a job as ``report(epoch, metrics)``; returns True to go on, False to end with what there is."""
JobFunction = Callable[[dict[str, Any], ReportToCoordinator], Mapping[str, Any]]


@dataclass(frozen=True)
class Job:
    """One call of ``function(payload, report)`` in a process of its own.

    `function` is importable by name and returns a mapping that JSON can carry. The executor adds ``device``
    and ``threads`` to the payload. Standard output and error go to `log_file`. `epochs` is the last epoch the
    job will report, where known. `provisional` reports never stand for the result of a job that time ends: what it
    measures last is another thing.
    """

    function: JobFunction
    payload: Mapping[str, Any]
    log_file: Path
    timeout_s: float | None = None
    memory_mb: int | None = None
    epochs: int | None = None
    provisional: bool = False


@dataclass(frozen=True)
class Reported:
    """A job reported an epoch and waits for `Executor.reply`."""

    id: int
    epoch: int
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class Finished:
    """A job returned `result`."""

    id: int
    result: Mapping[str, Any]


@dataclass(frozen=True)
class Failed:
    """A job ended without a result; `reason` is one short sentence."""

    id: int
    reason: str


Event = Reported | Finished | Failed


class Executor(ABC):
    """Runs up to `workers` jobs at a time; one that crashes, hangs or eats memory costs nothing but itself.

    Laws: every submitted job ends with exactly one `Finished` or `Failed`. Jobs end by themselves when the
    process that submitted them is gone.
    """

    name: ClassVar[str]

    class Config(PluginConfig):
        """No options."""

    @abstractmethod
    def __init__(
        self,
        config: Any,
        *,
        workers: int,
        threads: int = 1,
        devices: Sequence[str] = ("cpu",),
        preload: Sequence[str] = (),
    ) -> None:
        """Worker i gets ``devices[i % len(devices)]``; `preload` are modules that every job needs."""

    @property
    @abstractmethod
    def free(self) -> int:
        """How many more jobs can be submitted now."""

    @abstractmethod
    def submit(self, id: int, job: Job) -> None:
        """Start a job; its events carry `id`."""

    @abstractmethod
    def poll(self, timeout_s: float) -> list[Event]:
        """Return what happened, waiting up to `timeout_s` for something to happen."""

    @abstractmethod
    def reply(self, id: int, go_on: bool) -> None:
        """Answer a job's report."""

    @abstractmethod
    def kill(self, id: int, reason: str) -> None:
        """End a job now; its event is `Failed` with `reason`."""

    @abstractmethod
    def close(self) -> None:
        """Kill what still runs and release everything."""

    def __enter__(self) -> Executor:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def run_job(
    executor: Executor, job: Job, on_report: Callable[[int, Mapping[str, float]], bool | None] | None = None
) -> Mapping[str, Any]:
    """Run one job on an idle executor and return its result; raises TrialError with the reason of a failure.

    `on_report(epoch, metrics)` may return False to end the job with what it has.
    """
    executor.submit(0, job)
    ended = False
    try:
        while True:
            for event in executor.poll(1.0):
                ended = not isinstance(event, Reported)
                if isinstance(event, Finished):
                    return event.result
                if isinstance(event, Failed):
                    raise TrialError(f"{event.reason} (log: {job.log_file})")
                go_on = on_report(event.epoch, event.metrics) if on_report else True
                executor.reply(0, go_on is not False)
    finally:
        if not ended:
            executor.kill(0, "cancelled")
            while not any(isinstance(event, Failed | Finished) for event in executor.poll(1.0)):
                pass
