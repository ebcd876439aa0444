"""How long one run of an exported network takes."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

from paddle_automl.core.runtime import processor_name
from paddle_automl.core.schema import PluginConfig
from paddle_automl.deployment.bundle import utc_now
from paddle_automl.deployment.config import DeploymentConfig, LatencyConfig
from paddle_automl.deployment.exporters.base import EXPORTERS, Session
from paddle_automl.deployment.records import Latency
from paddle_automl.deployment.runtime import gpu_index, import_paddle, in_lasting_thread

TURN = 10
"""Runs of one network before it is another's turn."""
PADDLE_RUNTIME = "Paddle Inference"


@dataclass(frozen=True)
class Timing:
    """Milliseconds per run: median, 95th percentile, fastest."""

    p50_ms: float
    p95_ms: float
    min_ms: float


def measure(run: Callable[[], object], *, warmup: int, runs: int) -> Timing:
    """Call `run` `warmup` times, then time `runs` calls one by one."""
    return measure_in_turn({"": run}, warmup=warmup, runs=runs)[""]


def measure_in_turn(calls: Mapping[str, Callable[[], object]], *, warmup: int, runs: int) -> dict[str, Timing]:
    """Time `runs` calls of each, in turns of a few; each is first called `warmup` times."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        for _ in range(warmup):
            call()
    for start in range(0, runs, TURN):
        for name, call in calls.items():
            if len(calls) > 1:
                # The first call of a turn finds the caches full of another network.
                call()
            times[name].extend(_timed(call) for _ in range(min(TURN, runs - start)))
    return {name: _timing(np.asarray(found)) for name, found in times.items()}


def _timed(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return (time.perf_counter() - start) * 1000


def _timing(times: np.ndarray) -> Timing:
    p50, p95 = np.percentile(times, [50, 95])
    return Timing(float(p50), float(p95), float(times.min()))


def measure_session(
    session: Session,
    input_shape: tuple[int, ...],
    config: LatencyConfig,
    *,
    device: str = "cpu",
    lock: Path | None = None,
) -> list[Latency]:
    """Time a loaded network on one normalized batch of each size, (C, H, W) being `input_shape`.

    `lock` is a file that all processes of a search share: whoever holds it measures, the others wait.
    """
    return measure_sessions({"": session}, input_shape, config, device=device, lock=lock)[""]


def measure_sessions(
    sessions: Mapping[str, Session],
    input_shape: tuple[int, ...],
    config: LatencyConfig,
    *,
    device: str = "cpu",
    lock: Path | None = None,
) -> dict[str, list[Latency]]:
    """Time several loaded networks in turn, so that what disturbs the machine meets all; see `measure_session`."""
    results: dict[str, list[Latency]] = {name: [] for name in sessions}
    for batch_size in config.batch_sizes:
        images = np.random.default_rng(0).standard_normal((batch_size, *input_shape), dtype=np.float32)
        with _one_at_a_time(lock):
            runs = {name: partial(session, images) for name, session in sessions.items()}
            timings = in_lasting_thread(partial(measure_in_turn, runs, warmup=config.warmup, runs=config.runs))
        for name, timing in timings.items():
            record = Latency(
                batch_size=batch_size,
                p50_ms=round(timing.p50_ms, 4),
                p95_ms=round(timing.p95_ms, 4),
                min_ms=round(timing.min_ms, 4),
                runs=config.runs,
                warmup=config.warmup,
                threads=config.threads,
                device=device,
                processor=_processor(device),
                paddle=str(import_paddle().__version__),
                runtime=getattr(sessions[name], "runtime_name", PADDLE_RUNTIME),
                date=utc_now(),
            )
            results[name].append(record)
    return results


def measure_model_latency(
    model: Any,
    input_shape: tuple[int, int, int],
    config: LatencyConfig | None = None,
    *,
    exporter: PluginConfig | None = None,
    lock: Path | None = None,
) -> float:
    """Return the objective ``latency_ms``: the median time of one run of `model` once it is exported.

    The network is exported to a temporary folder, timed there with the first of the configured batch sizes
    (1 if there is none), and the folder is removed. `lock`: see `measure_session`.
    """
    config = config or LatencyConfig()
    config = config.model_copy(update={"batch_sizes": config.batch_sizes[:1] or (1,)})
    chosen = exporter or DeploymentConfig().exporter
    plugin = EXPORTERS[chosen.name](chosen)
    with tempfile.TemporaryDirectory(prefix="paddle_automl-latency-") as scratch:
        plugin.export(model, Path(scratch), input_shape=input_shape)
        session = plugin.session(Path(scratch), threads=config.threads)
        return measure_session(session, input_shape, config, lock=lock)[0].p50_ms


@contextmanager
def _one_at_a_time(lock: Path | None) -> Iterator[None]:
    if lock is None:
        yield
        return
    lock.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(str(lock)):
        yield


def _processor(device: str) -> str:
    index = gpu_index(device)
    if index is None:
        return processor_name()
    return str(import_paddle().device.cuda.get_device_name(index))
