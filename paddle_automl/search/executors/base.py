"""What an executor is: it runs jobs somewhere and reports what happens to them."""

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
"""Called by a job as ``report(epoch, metrics)``; returns True to go on, False to end with what there is."""
KILL_WAIT_S = 15.0
"""How long `run_job` waits for a killed job to be gone."""


@dataclass(frozen=True)
class Worker:
    """What a job's function may use of the place where it runs.

    `scratch` is a folder on the worker's own machine for caches and locks, shared by the workers there; None:
    nothing is to be kept. `report` sends an epoch's metrics and waits for the answer.
    """

    device: str
    threads: int
    scratch: Path | None
    report: Report


@dataclass(frozen=True)
class Capacity:
    """What an executor offers: how many jobs run side by side, on which devices, with how many threads each.

    Worker i computes on ``devices[i % len(devices)]``.
    """

    workers: int
    devices: tuple[str, ...]
    threads: int


@dataclass(frozen=True)
class Job:
    """One call of ``function(request, worker)`` in a process of its own, somewhere.

    `target` names the function as ``package.module:function``; it returns a `Section` or a mapping that JSON can
    carry. `request` is picklable. The `plugins` (`core.plugins`) are loaded first. Standard output and error go to
    `log_file`. `epochs` is the last epoch the job will report, where known. `provisional` reports never stand for
    the result of a job that time ends: what it measures last is another thing.
    """

    target: str
    request: Any
    log_file: Path
    plugins: tuple[str, ...] = ()
    timeout_s: float | None = None
    memory_mb: int | None = None
    epochs: int | None = None
    provisional: bool = False


def target_of(function: Callable[[Any, Worker], Any]) -> str:
    """Return the name by which a job's function is found in another process."""
    return f"{function.__module__}:{function.__qualname__}"


@dataclass(frozen=True)
class Reported:
    """A job reported an epoch and waits for `Executor.reply`."""

    id: int
    epoch: int
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class Finished:
    """A job returned `result`, as plain values."""

    id: int
    result: Mapping[str, Any]


@dataclass(frozen=True)
class Failed:
    """A job ended without a result: why, in one short sentence, and the package's own error, if it was one.

    `cause` is ``job`` for what the job did or had to be ended for, ``machine`` for a fault of the machine that
    the next job would meet too (a full disk, no process can be started), ``killed`` for a signal from outside, as
    of a system without memory, ``lost`` where the executor lost the job and can run it again at once.
    """

    id: int
    reason: str
    error: AutoMLError | None = field(default=None, compare=False)
    cause: Literal["job", "machine", "killed", "lost"] = field(default="job", compare=False)


Event = Reported | Finished | Failed


class Executor(ABC):
    """Runs up to ``capacity().workers`` jobs at a time; a job that fails costs nothing but itself.

    Laws: every submitted job ends with exactly one `Finished` or `Failed`. Jobs end by themselves when the
    process that submitted them is gone. `paddle_automl.testing.executors` checks them.
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
        """Find out what there is to compute on, where this executor computes.

        `workers` and `device` are as in the configuration (`search.workers`, `device`); `preload` are modules that
        every job needs. `scratch` is the folder for caches and locks on this machine; an executor whose jobs run
        elsewhere takes one there, or none where this one is None. Raises ConfigError for a device that is missing.
        """

    @classmethod  # noqa: B027  most executors have nothing to prepare
    def prepare(cls, preload: Sequence[str]) -> None:
        """Begin what takes long, before the configuration is read. By default nothing."""

    @abstractmethod
    def capacity(self) -> Capacity:
        """Return what there is to compute on."""

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
        """End a job now; its event is `Failed` with `reason`, or `Finished` where it was faster."""

    @abstractmethod
    def close(self) -> None:
        """Kill what still runs and release everything."""

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

    `on_report(epoch, metrics)` may return False to end the job with what it has. At `until`, on the monotonic
    clock, the job is killed. A job that was killed from outside, or lost, is run once more. Raises the error of the
    package that the job raised, TimeUpError at `until`, MachineError for a fault of the machine, and TrialError
    with reason and log file where the job died or raised another error.
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
