"""The contract of executors."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest

from paddle_automl.core.errors import DataError, TimeUpError
from paddle_automl.core.schema import Section
from paddle_automl.search.executors.base import (
    Event,
    Executor,
    Failed,
    Finished,
    Job,
    Reported,
    Worker,
    run_job,
    target_of,
)
from paddle_automl.testing.options import check_options

WAIT_S = 60.0
"""Longest time of a job in these tests; a cluster may be slow to start one."""
GONE_S = 6.0
"""Longest time that a job may take to end after its executor was closed."""
QUIET_S = 1.0
"""Without a sign of life for so long a job has ended; it gives twenty in a second."""


@dataclass(frozen=True)
class CountRequest:
    """Count to `epochs`, `pause_s` seconds each, then end in the way `ends`: well, error, exit.

    With a file `signs` it reports nothing, which would wait for an answer, but appends to the file at each number.
    """

    epochs: int = 3
    pause_s: float = 0.0
    ends: str = "well"
    signs: Path | None = None


class CountResult(Section):
    """The arguments of the job, and its last number."""

    counted: int
    device: str
    threads: int
    scratch: str | None


def count(request: CountRequest, worker: Worker) -> CountResult:
    """Report each number, until a reply says to stop."""
    number = 0
    for number in range(1, request.epochs + 1):
        time.sleep(request.pause_s)
        if request.signs is not None:
            with request.signs.open("a") as file:
                file.write(".")
        elif not worker.report(number, {"accuracy": number / request.epochs}):
            break
    if request.ends == "error":
        raise DataError("row 3: is not a number")
    if request.ends == "exit":
        os._exit(3)
    scratch = None if worker.scratch is None else str(worker.scratch)
    return CountResult(counted=number, device=worker.device, threads=worker.threads, scratch=scratch)


def _job(folder: Path, **request: Any) -> Job:
    return Job(target_of(count), CountRequest(**request), folder / "job.log")


def _ends(signs: Path) -> bool:
    """Return whether the job that appends to this file ends soon."""
    end = time.monotonic() + GONE_S
    while True:
        before = signs.stat().st_size
        time.sleep(QUIET_S)
        if signs.stat().st_size == before:
            return True
        if time.monotonic() > end:
            return False


def _drain(executor: Executor, ids: Iterable[int], go_on: bool = True) -> dict[int, list[Event]]:
    """Return the events by id until each of the jobs has ended."""
    events: dict[int, list[Event]] = {id: [] for id in ids}
    end = time.monotonic() + WAIT_S
    while not all(found and not isinstance(found[-1], Reported) for found in events.values()):
        assert time.monotonic() < end, f"jobs did not end within {WAIT_S:.0f} s: {events}"
        for event in executor.poll(0.5):
            assert event.id in events, f"an event of a job that was not submitted: {event}"
            found = events[event.id]
            assert not found or isinstance(found[-1], Reported), (
                f"an event after the end of a job: {found}, {event}"
            )
            found.append(event)
            if isinstance(event, Reported):
                executor.reply(event.id, go_on)
    return events


class ExecutorContract:
    """Tests of the rules of `search.executors.base.Executor`.

    Parametrize `plugin` with the executor's class. It needs two workers here; an executor with another constructor
    overrides `make`. If jobs do not have their own process (`own_process` false), they need not survive the crash
    of another one.
    """

    own_process: ClassVar[bool] = True

    def make(self, plugin: Any, scratch: Path | None) -> Executor:
        """Return a new executor with two workers."""
        made: Executor = plugin(plugin.Config(), workers=2, device="cpu", scratch=scratch)
        return made

    def test_options_are_described(self, plugin: Any) -> None:
        """Help and pages of options print the docstring of each option."""
        check_options(plugin)

    def test_it_offers_its_capacity(self, plugin: Any, tmp_path: Path) -> None:
        """All of `capacity` is free at the start, and nothing happens without a job."""
        with self.make(plugin, tmp_path) as executor:
            capacity = executor.capacity()
            assert capacity.workers >= 2, "these checks need two workers"
            assert capacity.threads >= 1, f"threads: {capacity.threads}"
            assert capacity.devices, "there is no device"
            assert executor.free == capacity.workers, "not all slots are free at the start"
            assert executor.poll(0.0) == [], "events before any job"
            executor.kill(99, "not there")
            executor.reply(99, True)
            assert executor.poll(0.0) == [], "killing or answering a job that is not there made an event"

    def test_jobs_run_side_by_side_and_report_in_order(self, plugin: Any, tmp_path: Path) -> None:
        """A worker has the resources of `capacity`; each report waits for its answer."""
        with self.make(plugin, tmp_path) as executor:
            before, capacity = executor.free, executor.capacity()
            executor.submit(4, _job(tmp_path, epochs=2))
            executor.submit(5, _job(tmp_path, epochs=2))
            assert executor.free == before - 2, "two running jobs do not take two slots"
            for id, found in _drain(executor, (4, 5)).items():
                *reports, last = found
                expected = [Reported(id, number, {"accuracy": number / 2}) for number in (1, 2)]
                assert reports == expected, f"reports: {reports}, expected {expected}"
                assert isinstance(last, Finished), f"the job ended with {last}"
                result = CountResult.model_validate(last.result)
                assert result.counted == 2
                assert result.device in capacity.devices, f"device {result.device} is not in {capacity.devices}"
                assert result.threads == capacity.threads, "not the threads that capacity() says"
                assert result.scratch is not None, "the worker has no scratch folder, though one was given"
            assert executor.free == before, "slots are not free again"

    def test_a_job_that_is_told_to_stop_ends_with_what_it_has(self, plugin: Any, tmp_path: Path) -> None:
        """Schedulers and deadlines end trials politely."""
        with self.make(plugin, tmp_path) as executor:
            executor.submit(1, _job(tmp_path, epochs=1000))
            found = _drain(executor, (1,), go_on=False)[1]
            assert isinstance(found[-1], Finished), f"a job that was asked to stop ended with {found[-1]}"
            assert found[-1].result["counted"] == 1

    def test_a_job_fails_alone_and_its_error_keeps_its_type(self, plugin: Any, tmp_path: Path) -> None:
        """Commands show the package's own errors."""
        with self.make(plugin, tmp_path) as executor:
            executor.submit(1, _job(tmp_path, ends="error"))
            executor.submit(2, _job(tmp_path))
            found = _drain(executor, (1, 2))
            failed = found[1][-1]
            assert isinstance(failed, Failed), f"a job that raised an error ended with {failed}"
            assert failed.reason == "row 3: is not a number", f"reason: {failed.reason}"
            assert type(failed.error) is DataError, f"the error lost its type: {failed.error!r}"
            assert isinstance(found[2][-1], Finished), "another job was affected"

    def test_a_killed_job_ends_once(self, plugin: Any, tmp_path: Path) -> None:
        """It fails with the first reason, and its slot is free again."""
        with self.make(plugin, tmp_path) as executor:
            executor.submit(1, _job(tmp_path, epochs=1000, pause_s=0.2))
            executor.kill(1, "enough")
            executor.kill(1, "again")
            assert _drain(executor, (1,))[1][-1] == Failed(1, "enough")
            assert executor.poll(0.5) == [], "a killed job ends once"
            assert executor.free == executor.capacity().workers

    def test_one_job_is_run_until_its_time_is_up(self, plugin: Any, tmp_path: Path) -> None:
        """With `run_job`; the executor can be used afterwards."""
        with self.make(plugin, tmp_path) as executor:
            assert run_job(executor, _job(tmp_path))["counted"] == 3
            with pytest.raises(TimeUpError):
                run_job(executor, _job(tmp_path, epochs=1000, pause_s=0.1), until=time.monotonic() + 1.0)
            assert executor.free == executor.capacity().workers, "a job whose time was up still takes a slot"

    def test_a_crash_costs_one_job(self, plugin: Any, tmp_path: Path) -> None:
        """A process that ends without a message is only its job's failure."""
        if not self.own_process:
            pytest.skip("its jobs share a process")
        with self.make(plugin, tmp_path) as executor:
            executor.submit(1, _job(tmp_path, ends="exit"))
            executor.submit(2, _job(tmp_path))
            found = _drain(executor, (1, 2))
            assert isinstance(found[1][-1], Failed), f"a job whose process ended has ended with {found[1][-1]}"
            assert isinstance(found[2][-1], Finished), "another job was affected by a crash"

    def test_closing_kills_what_runs(self, plugin: Any, tmp_path: Path) -> None:
        """It does not wait for jobs to end by themselves, and leaves none behind that has its own process."""
        executor, signs = self.make(plugin, None), tmp_path / "signs"
        if self.own_process:
            executor.submit(1, _job(tmp_path, epochs=int(2 * WAIT_S / 0.05), pause_s=0.05, signs=signs))
            end = time.monotonic() + WAIT_S
            while not signs.exists():
                assert executor.poll(0.05) == [], "the job has ended"
                assert time.monotonic() < end, f"the job did not start within {WAIT_S:.0f} s"
        else:
            executor.submit(1, _job(tmp_path, epochs=1000, pause_s=0.2))
        started = time.monotonic()
        executor.close()
        assert time.monotonic() - started < WAIT_S, "close() waits for jobs instead of killing them"
        assert not self.own_process or _ends(signs), "close() leaves jobs behind that still run"
