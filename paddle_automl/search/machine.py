"""Devices, workers and threads of this machine, found without importing Paddle."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Literal

import psutil

from paddle_automl.core.errors import ConfigError
from paddle_automl.core.runtime import threads_per_trial, usable_cores
from paddle_automl.search.executors.base import Capacity

MEMORY_PER_WORKER_MB = 1500
"""Most memory of a trial with Paddle on small data; limits the number of workers for `auto`."""


def capacity_here(workers: int | Literal["auto"], device: str, threads: int | None = None) -> Capacity:
    """Return the capacity of this machine for the configuration's `workers` and `device`.

    `threads` of each worker are by default the cores divided among the workers. Raises ConfigError if a GPU is
    configured but Paddle sees none.
    """
    devices = devices_of(device)
    count = workers_of(devices) if workers == "auto" else workers
    return Capacity(count, devices, threads or threads_per_trial(count))


def devices_of(device: str) -> tuple[str, ...]:
    """Return the devices that the key `device` means on this machine: ``("cpu",)`` or ``("gpu:0", "gpu:1")``.

    Raises ConfigError if a GPU is configured but Paddle sees none.
    """
    if device == "cpu":
        return ("cpu",)
    count = gpu_count()
    if device == "auto":
        return tuple(f"gpu:{index}" for index in range(count)) or ("cpu",)
    if count == 0:
        raise ConfigError(
            f"device: '{device}' needs a GPU, but Paddle sees none; use cpu or auto, or install "
            "paddlepaddle-gpu (see the README)"
        )
    _, _, listed = device.partition(":")
    wanted = [int(index) for index in listed.split(",")] if listed else list(range(count))
    for index in wanted:
        if index >= count:
            raise ConfigError(f"device: gpu:{index} does not exist; valid: 0 to {count - 1}")
    return tuple(f"gpu:{index}" for index in wanted)


def gpu_count() -> int:
    """Return how many GPUs Paddle can use; runs a separate process, only if the GPU wheel is installed."""
    try:
        version("paddlepaddle-gpu")
    except PackageNotFoundError:
        return 0
    code = "import paddle; print('GPUS', paddle.device.cuda.device_count())"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    for line in run.stdout.splitlines():
        if line.startswith("GPUS "):
            return int(line.split()[1])
    return 0


def workers_of(devices: tuple[str, ...]) -> int:
    """Return the number of parallel jobs: one per GPU, or as many as cores and memory allow."""
    if devices[0] != "cpu":
        return len(devices)
    memory_mb = psutil.virtual_memory().available / 2**20
    return max(1, min(usable_cores(), int(memory_mb / MEMORY_PER_WORKER_MB)))
