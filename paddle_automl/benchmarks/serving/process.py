"""A server of this project in a process of its own, and what its metrics and its memory say."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from paddle_automl.core.errors import MachineError
from paddle_automl.serving.client import Target, fetch

START_S = 120.0
"""Longest time until the model is ready."""
END_S = 60.0


@dataclass
class Server:
    """A running server."""

    target: Target
    process: psutil.Popen

    @property
    def processes(self) -> list[psutil.Process]:
        """Return the server's process and that of the network."""
        return [self.process, *self.process.children(recursive=True)]

    def memory_mb(self) -> float:
        """Return the memory that the processes hold alone, in MB: what two share is not counted twice."""
        return float(sum(process.memory_full_info().uss for process in self.processes) / 1e6)

    def files(self) -> int:
        """Return the number of open files and connections of the server's process."""
        found: int = self.process.num_fds()
        return found

    async def metric(self, name: str) -> float:
        """Return the sum of a metric over its labels; 0 if there is none yet."""
        _, body = await fetch(self.target, "/metrics")
        found = re.findall(rf"^{name}(?:{{.*}})? (\S+)$", body.decode(), flags=re.MULTILINE)
        return sum(map(float, found))

    async def ready(self) -> bool:
        """Return whether the model is ready."""
        return (await fetch(self.target, "/v2/health/ready"))[0] == 200


@contextmanager
def started(bundle: Path, *options: str) -> Iterator[Server]:
    """Start a server on a free port and stop it at the end; raises MachineError if it does not become ready."""
    words = [sys.executable, "-m", "paddle_automl", "serve", "-m", str(bundle), "--port", "0", *options]
    process = psutil.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        yield Server(_target(process), process)
    finally:
        if process.poll() is None:
            process.terminate()
        try:
            process.wait(END_S)
        except psutil.TimeoutExpired:
            process.kill()
            process.wait()


def _target(process: psutil.Popen) -> Target:
    import asyncio

    said = ""
    for line in process.stdout:
        said += line
        found = re.search(r"at (http://\S+);", line)
        if found:
            target = Target.parse(found.group(1))
            break
    else:
        raise MachineError(f"the server ended: {said.strip()}")
    end = time.monotonic() + START_S
    while time.monotonic() < end and process.poll() is None:
        if asyncio.run(fetch(target, "/v2/health/ready"))[0] == 200:
            return target
        time.sleep(0.1)
    raise MachineError("the server did not become ready")
