"""What there is to compute on: devices, workers, threads."""

import pytest

from paddle_automl.core.errors import ConfigError
from paddle_automl.search import machine
from paddle_automl.search.executors.base import Capacity
from paddle_automl.search.machine import capacity_here, devices_of


def test_without_a_gpu(monkeypatch):
    monkeypatch.setattr(machine, "gpu_count", lambda: 0)
    monkeypatch.setattr(machine, "usable_cores", lambda: 4)
    monkeypatch.setattr(machine, "threads_per_trial", lambda workers: 4 // workers)
    assert devices_of("auto") == devices_of("cpu") == ("cpu",)
    with pytest.raises(ConfigError, match="device: 'gpu:0' needs a GPU, but Paddle sees none"):
        devices_of("gpu:0")
    assert capacity_here(2, "auto") == Capacity(2, ("cpu",), 2)
    assert capacity_here(2, "auto", threads=1) == Capacity(2, ("cpu",), 1)


def test_workers_are_as_many_as_cores_and_memory_allow(monkeypatch):
    monkeypatch.setattr(machine, "usable_cores", lambda: 4)
    for available_mb, workers in ((100_000, 4), (3_100, 2), (100, 1)):
        memory = type("Memory", (), {"available": available_mb * 2**20})
        monkeypatch.setattr(machine.psutil, "virtual_memory", lambda memory=memory: memory)
        assert capacity_here("auto", "cpu").workers == workers


def test_a_worker_per_gpu(monkeypatch):
    monkeypatch.setattr(machine, "gpu_count", lambda: 2)
    assert devices_of("auto") == devices_of("gpu") == ("gpu:0", "gpu:1")
    assert devices_of("gpu:1") == ("gpu:1",)
    assert capacity_here("auto", "auto").workers == 2
    with pytest.raises(ConfigError, match="gpu:3 does not exist; valid: 0 to 1"):
        devices_of("gpu:0,3")
