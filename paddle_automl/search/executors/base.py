"""The interface of executors, which run jobs and report their events."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

from paddle_automl.core.errors import AutoMLError, MachineError, TimeUpError, TrialError
from paddle_automl.core.registry import Registry
from paddle_automl.core.schema import PluginConfig

EXECUTORS: Registry[Executor] = Registry("executor", "paddle_automl.search.executors", "search.executor")

Report = Callable[[int, Mapping[str, float]], bool]
"""Called by a job as ``report(epoch, metrics)``; returns True to continue, False to end with the results so far."""
Plan = Callable[[int], None]
"""Called by a job as ``plan(epochs)`` before it reports, if it has other epochs than `Job.epochs`."""
KILL_WAIT_S = 15.0
"""How long is waited for a killed job to end."""


def _forget(epochs: int) -> None:
    """Do nothing."""


@dataclass(frozen=True)
class Worker:
    """The resources of a job's function.

    `scratch` is a folder on the worker's machine for caches and locks, shared by the workers there; None: there is
    none. `report` sends an epoch's metrics and waits for the answer; the number told to `plan` goes with it
    (`Reported.epochs`). An executor that leaves `plan` out has trials compared by `Job.epochs`.
    """

    device: str
    threads: int
    scratch: Path | None
    report: Report
    plan: Plan = _forget


@dataclass(frozen=True)
class Capacity:
    """Capacity of an executor: parallel jobs, their devices, and threads per job.

    Worker i uses ``devices[i % len(devices)]``.
    """

    workers: int
    devices: tuple[str, ...]
    threads: int


@dataclass(frozen=True)
class Job:
    """One call of ``function(request, worker)`` in its own process.

    `target` names the function as ``package.module:function``; it returns a `Section` or a mapping that JSON can
    carry. `request` is picklable. The `plugins` (`core.plugins`) are loaded first. Standard output and error go to
    `log_file`. `epochs` is the last epoch that the job will report, if known. If `provisional`, reports are not
    used as the result when time ends the job, because the final result measures something else. Its result is the
    mean over `folds` networks, its reports are of the first; the result's ``folds`` tell if there were fewer.
    """

    target: str
    request: Any
    log_file: Path
    plugins: tuple[str, ...] = ()
    timeout_s: float | None = None
    memory_mb: int | None = None
    epochs: int | None = None
    provisional: bool = False
    folds: int = 1


def target_of(function: Callable[[Any, Worker], Any]) -> str:
    """Return the name under which another process finds a job's function."""
    return f"{function.__module__}:{function.__qualname__}"


@dataclass(frozen=True)
class Reported:
    """A job has reported an epoch and waits for `Executor.reply`. `epochs` is the last one, if the job told it."""

    id: int
    epoch: int
    metrics: Mapping[str, float]
    epochs: int | None = None


@dataclass(frozen=True)
class Finished:
    """A job returned `result`, as plain values."""

    id: int
    result: Mapping[str, Any]


@dataclass(frozen=True)
class Failed:
    """A job ended without a result: the reason in one short sentence, and the package's own error, if it was one.

    `cause` is ``job`` for the job's own failure or a limit that it exceeded, ``machine`` for a fault of the machine
    that would also affect the next job (a full disk, no process can be started), ``killed`` for a signal from
    outside, such as from a system out of memory, ``lost`` if the executor lost the job and can run it again at
    once.
    """

    id: int
    reason: str
    error: AutoMLError | None = field(default=None, compare=False)
    cause: Literal["job", "machine", "killed", "lost"] = field(default="job", compare=False)


Event = Reported | Finished | Failed


class Executor(ABC):
    """Runs up to ``capacity().workers`` jobs at a time; a failed job does not affect others.

    Rules: every submitted job ends with exactly one `Finished` or `Failed`. Jobs end by themselves when the process
    that submitted them is gone. `paddle_automl.testing.executors` checks these rules.
    """

    name: ClassVar[str]

    class Config(PluginConfig):
        """No options."""

    @abstractmethod
    def __init__(
        self,
        config: Any,
        *,
        workers: int | Literal["auto"] = "auto",
        device: str = "auto",
        scratch: Path | None = None,
        preload: Sequence[str] = (),
    ) -> None:
        """Determine the capacity of the machines of this executor.

        `workers` and `device` are as in the configuration (`search.workers`, `device`); `preload` are modules that
        every job needs. `scratch` is the folder for caches and locks on this machine; an executor with jobs on
        other machines uses a folder there, or none if this is None. Raises ConfigError for a missing device.
        """

    @classmethod  # noqa: B027  most executors have nothing to prepare
    def prepare(cls, preload: Sequence[str]) -> None:
        """Start slow preparations before the configuration is read. By default nothing."""

    @abstractmethod
    def capacity(self) -> Capacity:
        """Return the number of parallel jobs, their devices and threads."""

    @property
    @abstractmethod
    def free(self) -> int:
        """Return how many more jobs can be submitted now."""

    @abstractmethod
    def submit(self, id: int, job: Job) -> None:
        """Start a job; its events carry `id`."""

    @abstractmethod
    def poll(self, timeout_s: float) -> list[Event]:
        """Return new events; wait up to `timeout_s` seconds for one."""

    @abstractmethod
    def reply(self, id: int, go_on: bool) -> None:
        """Answer a job's report."""

    @abstractmethod
    def kill(self, id: int, reason: str) -> None:
        """Kill a job now; its event is `Failed` with `reason`, or `Finished` if it was faster."""

    @abstractmethod
    def close(self) -> None:
        """Kill running jobs and release all resources."""

    def __enter__(self) -> Executor:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def run_job(
    executor: Executor,
    job: Job,
    on_report: Callable[[int, Mapping[str, float]], bool | None] | None = None,
    until: float | None = None,
) -> Mapping[str, Any]:
    """Run one job on an idle executor and return its result, as plain values.

    `on_report(epoch, metrics)` may return False to end the job with its results so far. At `until`, on the
    monotonic clock, the job is killed. A job that was killed from outside, or lost, is run once more. Raises the
    package's own error if the job raised one, TimeUpError at `until`, MachineError for a fault of the machine, and
    TrialError with reason and log file if the job died or raised another error.
    """
    executor.submit(0, job)
    ended = again = False
    try:
        while True:
            left = 1.0 if until is None else min(1.0, until - time.monotonic())
            if left <= 0:
                raise TimeUpError(f"the time for it was up (log: {job.log_file})")
            for event in executor.poll(left):
                ended = not isinstance(event, Reported)
                if isinstance(event, Finished):
                    return event.result
                if isinstance(event, Failed):
                    if again or event.cause not in ("killed", "lost"):
                        raise _error_of(event, job)
                    again, ended = True, False
                    executor.submit(0, job)
                    continue
                go_on = on_report(event.epoch, event.metrics) if on_report else True
                executor.reply(0, go_on is not False)
    finally:
        if not ended:
            _cancel(executor)


def _error_of(event: Failed, job: Job) -> AutoMLError:
    kind = MachineError if event.cause == "machine" else TrialError
    return event.error or kind(f"{event.reason} (log: {job.log_file})")


def _cancel(executor: Executor) -> None:
    executor.kill(0, "cancelled")
    give_up = time.monotonic() + KILL_WAIT_S
    while time.monotonic() < give_up:
        if any(isinstance(event, Failed | Finished) for event in executor.poll(1.0)):
            return
