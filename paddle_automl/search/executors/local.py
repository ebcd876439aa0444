"""Jobs as fresh processes on this machine."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any, Literal

import psutil
from pydantic import Field

from paddle_automl.core.plugins import LoadPlugins
from paddle_automl.core.schema import PluginConfig
from paddle_automl.search.executors._fork_server import (
    SERVER_GONE,
    fork_server,
    is_gone,
    start_fork_server,
    without_main,
)
from paddle_automl.search.executors.base import EXECUTORS, Capacity, Event, Executor, Failed, Job, Reported
from paddle_automl.search.machine import capacity_here
from paddle_automl.search.messages import event_of
from paddle_automl.search.worker import Slot, run

CHECK_EVERY_S = 0.5
"""How often time and memory limits are checked."""
LINGER_S = 10.0
"""How long a process may take to end after sending its result."""


@dataclass
class _Process:
    """One running process."""

    id: int
    job: Job
    slot: int
    process: Any
    connection: Connection | None
    started: float
    outcome: Event | None = None
    ended: float = 0.0
    server: int | None = None
    """Process id of the fork server from which it was forked."""


@EXECUTORS.register("local")
class Local(Executor):
    """Runs each job in a fresh process, forked from a preloaded server (spawned where a GPU is used)."""

    class Config(PluginConfig):
        """Options of the processes."""

        threads: int | None = Field(default=None, ge=1)
        """Threads of each process. None: the cores divided among the workers."""

    def __init__(
        self,
        config: Any,
        *,
        workers: int | Literal["auto"] = "auto",
        device: str = "auto",
        scratch: Path | None = None,
        preload: Sequence[str] = (),
    ) -> None:
        self._capacity = capacity_here(workers, device, config.threads)
        self._scratch = scratch
        self._slots = list(range(self._capacity.workers))
        self._running: dict[int, _Process] = {}
        self._stillborn: list[Event] = []
        self._checked = 0.0
        self._lost_servers: set[int] = set()
        # A forked process cannot use CUDA if its parent has used it; some systems have no fork server.
        gpu = any(name.startswith("gpu") for name in self._capacity.devices)
        forks = not gpu and start_fork_server(preload)
        self._context: Any = multiprocessing.get_context("forkserver" if forks else "spawn")

    @classmethod
    def prepare(cls, preload: Sequence[str]) -> None:
        """Start the fork server: it imports the modules while the command reads its configuration."""
        start_fork_server(preload)

    def capacity(self) -> Capacity:
        """Return the capacity of this machine."""
        return self._capacity

    @property
    def free(self) -> int:
        """Return the number of free slots."""
        return len(self._slots)

    def submit(self, id: int, job: Job) -> None:
        """Start the job's process in the lowest free slot."""
        message = ForkingPickler.dumps((LoadPlugins(job.plugins), job.target, job.request))
        number = self._slots.pop(0)
        devices = self._capacity.devices
        slot = Slot(devices[number % len(devices)], self._capacity.threads, self._scratch)
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=run, args=(theirs, slot, str(job.log_file)), name=f"job-{id}")
        try:
            with without_main(not job.target.startswith("__main__:")):
                process.start()
        except (OSError, EOFError) as error:
            # The machine has no memory or processes left, or the fork server is gone.
            self._slots.insert(0, number)
            reason = f"its process could not be started: {error!r}"
            cause = self._loss_of(fork_server()) or "machine"
            self._stillborn.append(Failed(id, reason, cause=cause))
            ours.close()
            return
        finally:
            theirs.close()
        with contextlib.suppress(OSError):
            # If it is already dead, the next poll finds that.
            ours.send_bytes(message)
        self._running[id] = _Process(id, job, number, process, ours, time.monotonic(), server=fork_server())

    def poll(self, timeout_s: float) -> list[Event]:
        """Return reports and ends of jobs; also enforce the time and memory limits."""
        deadline = time.monotonic() + timeout_s
        while True:
            left = max(0.0, deadline - time.monotonic())
            sources: list[Any] = [worker.process.sentinel for worker in self._running.values()]
            sources += [worker.connection for worker in self._running.values() if worker.connection]
            if self._stillborn:
                left = 0.0
            if sources:
                wait(sources, min(left, CHECK_EVERY_S))
            else:
                time.sleep(min(left, CHECK_EVERY_S))
            events, self._stillborn = self._stillborn, []
            for worker in list(self._running.values()):
                events += self._receive(worker)
                if not worker.process.is_alive():
                    events += self._receive(worker)
                    events.append(self._release(worker))
            self._enforce_limits()
            if events or time.monotonic() >= deadline:
                return events

    def reply(self, id: int, go_on: bool) -> None:
        """Answer the report of a waiting job."""
        worker = self._running.get(id)
        if worker is not None and worker.connection is not None:
            with contextlib.suppress(OSError):
                worker.connection.send_bytes(b"go" if go_on else b"stop")

    def kill(self, id: int, reason: str) -> None:
        """Kill the job's process and its child processes; a result that was already sent is kept."""
        worker = self._running.get(id)
        if worker is None:
            return
        if worker.outcome is None:
            worker.outcome = Failed(id, reason)
        with contextlib.suppress(OSError, AttributeError):
            # Only after the process has created its own group: before that the group does not exist.
            os.killpg(worker.process.pid, signal.SIGKILL)
        worker.process.kill()

    def close(self) -> None:
        """Kill every job."""
        for worker in list(self._running.values()):
            self.kill(worker.id, "cancelled")
        for worker in list(self._running.values()):
            worker.process.join(LINGER_S)
            self._release(worker)

    def _receive(self, worker: _Process) -> list[Event]:
        events: list[Event] = []
        while worker.connection is not None and worker.outcome is None:
            try:
                if not worker.connection.poll():
                    break
                message = json.loads(worker.connection.recv_bytes())
            except (EOFError, OSError):
                worker.connection.close()
                worker.connection = None
                break
            if "epoch" in message:
                told = message.get("epochs")
                events.append(Reported(worker.id, message["epoch"], message["metrics"], told))
                continue
            worker.ended = time.monotonic()
            worker.outcome = event_of(worker.id, message)
        return events

    def _release(self, worker: _Process) -> Event:
        del self._running[worker.id]
        self._slots = sorted([*self._slots, worker.slot])
        if worker.connection is not None:
            worker.connection.close()
        code = worker.process.exitcode
        event = worker.outcome or self._death(worker, code)
        worker.process.join(0)
        with contextlib.suppress(ValueError):
            worker.process.close()
        return event

    def _death(self, worker: _Process, code: int | None) -> Failed:
        """Return the event of a process that ended without a message."""
        loss = self._loss_of(worker.server) if code == SERVER_GONE else None
        if loss is not None:
            # It may still be running: only the server that would report its end is gone.
            for end in (os.killpg, os.kill):
                with contextlib.suppress(OSError):
                    end(worker.process.pid, signal.SIGKILL)
            is_gone(worker.process.pid)
            return Failed(worker.id, "the process that starts jobs (the fork server) was killed", cause=loss)
        killed = code is not None and code < 0 and -code in _FROM_OUTSIDE
        return Failed(worker.id, _why_it_died(code), cause="killed" if killed else "job")

    def _loss_of(self, server: int | None) -> Literal["lost", "machine"] | None:
        """Return the cause of a job's end if its fork server is gone, else None."""
        if server is None or not is_gone(server):
            return None
        self._lost_servers.add(server)
        return "lost" if len(self._lost_servers) <= _MOST_LOST else "machine"

    def _enforce_limits(self) -> None:
        now = time.monotonic()
        if now - self._checked < CHECK_EVERY_S:
            return
        self._checked = now
        for worker in self._running.values():
            job = worker.job
            if worker.outcome is not None:
                if worker.ended and now - worker.ended > LINGER_S:
                    self.kill(worker.id, "")
            elif job.timeout_s is not None and now - worker.started > job.timeout_s:
                self.kill(worker.id, f"took longer than trial_timeout_s={job.timeout_s:g}")
            elif job.memory_mb is not None and _resident_mb(worker.process.pid) > job.memory_mb:
                self.kill(worker.id, f"used more than trial_memory_mb={job.memory_mb}")


_FROM_OUTSIDE = {getattr(signal, name, None) for name in ("SIGKILL", "SIGTERM", "SIGHUP", "SIGINT", "SIGQUIT")}
"""Signals from outside; a crash causes other ones."""
_MOST_LOST = 1
"""Most fork servers that may die in one command: multiprocessing starts a new one with the next job."""


def _why_it_died(code: int | None) -> str:
    if code is not None and code < 0:
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = "unknown"
        hint = "; the system may have run out of memory" if name == "SIGKILL" else ""
        return f"killed by signal {-code} ({name}){hint}"
    if code:
        return f"the process ended with exit code {code}"
    return "the process ended without a result"


def _resident_mb(pid: int) -> float:
    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
    except psutil.Error:
        return 0.0
    total = 0
    for member in family:
        with contextlib.suppress(psutil.Error):
            total += member.memory_info().rss
    return total / 2**20
