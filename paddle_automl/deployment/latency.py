"""Timing runs of exported networks."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
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
from paddle_automl.inputs.base import Arrays, Input
from paddle_automl.tasks.base import Final

TURN = 10
"""Consecutive runs of one network before the next one."""
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
    """Time `runs` calls of each, alternating after a few calls; each is first called `warmup` times."""
    turns = [min(TURN, runs - start) for start in range(0, runs, TURN)]
    times = time_in_turn(calls, warmup=warmup, turns=turns)
    return {name: _timing(np.concatenate(found)) for name, found in times.items()}


def time_in_turn(
    calls: Mapping[str, Callable[[], object]], *, warmup: int, turns: Sequence[int]
) -> dict[str, list[np.ndarray]]:
    """Return the milliseconds of the calls by name: float64 [runs] for each turn.

    Each is first called `warmup` times. In each turn all are timed one after the other, as often as `turns` says,
    so that other load on the machine affects all of them.
    """
    times: dict[str, list[np.ndarray]] = {name: [] for name in calls}
    for call in calls.values():
        for _ in range(warmup):
            call()
    for runs in turns:
        for name, call in calls.items():
            if len(calls) > 1:
                # At the first call of a turn the caches hold another network's data.
                call()
            times[name].append(np.array([_timed(call) for _ in range(runs)]))
    return times


def time_sessions(
    sessions: Mapping[str, Session],
    arrays: Arrays,
    *,
    warmup: int,
    turns: Sequence[int],
    lock: Path | None = None,
) -> dict[str, list[np.ndarray]]:
    """Time several loaded networks in turn on one batch; see `time_in_turn`.

    `lock` is a file shared by all processes of a search: only the one that holds it measures.
    """
    calls = {name: partial(session, arrays) for name, session in sessions.items()}
    with _one_at_a_time(lock):
        return in_lasting_thread(partial(time_in_turn, calls, warmup=warmup, turns=turns))


def _timed(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return (time.perf_counter() - start) * 1000


def _timing(times: np.ndarray) -> Timing:
    p50, p95 = np.percentile(times, [50, 95])
    return Timing(float(p50), float(p95), float(times.min()))


def measure_session(
    session: Session,
    input: Input,  # noqa: A002, RUF100
    config: LatencyConfig,
    *,
    device: str = "cpu",
    lock: Path | None = None,
) -> list[Latency]:
    """Time a loaded network on one batch of each size of typical values; `lock`: see `time_sessions`."""
    return measure_sessions({"": session}, input, config, device=device, lock=lock)[""]


def measure_sessions(
    sessions: Mapping[str, Session],
    input: Input,  # noqa: A002, RUF100
    config: LatencyConfig,
    *,
    device: str = "cpu",
    lock: Path | None = None,
) -> dict[str, list[Latency]]:
    """Time several loaded networks in turn, so that other load affects all of them; see `measure_session`."""
    results: dict[str, list[Latency]] = {name: [] for name in sessions}
    turns = [min(TURN, config.runs - start) for start in range(0, config.runs, TURN)]
    for batch_size in config.batch_sizes:
        arrays = input.example(batch_size, np.random.default_rng(0))
        times = time_sessions(sessions, arrays, warmup=config.warmup, turns=turns, lock=lock)
        for name, found in times.items():
            timing = _timing(np.concatenate(found))
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
                paddle=_paddle_version(),
                runtime=getattr(sessions[name], "runtime_name", PADDLE_RUNTIME),
                date=utc_now(),
            )
            results[name].append(record)
    return results


def measure_model_latency(
    model: Any,
    input: Input,  # noqa: A002, RUF100
    final: Final,
    config: LatencyConfig | None = None,
    *,
    exporter: PluginConfig | None = None,
    lock: Path | None = None,
) -> float:
    """Return the metric ``latency_ms``: the median time of one run of the exported `model`.

    The network is exported to a temporary folder with the last step `final`, timed there with the first of the
    configured batch sizes (1 if there is none), and the folder is removed. `exporter`, by default Paddle's, is one
    that needs no training items. `lock`: see `time_sessions`.
    """
    config = config or LatencyConfig()
    config = config.model_copy(update={"batch_sizes": config.batch_sizes[:1] or (1,)})
    chosen = exporter or DeploymentConfig().exporter
    plugin = EXPORTERS[chosen.name](chosen)
    with tempfile.TemporaryDirectory(prefix="paddle_automl-latency-") as scratch:
        plugin.export(model, Path(scratch), specs=input.specs, final=final)
        session = plugin.session(Path(scratch), threads=config.threads)
        return measure_session(session, input, config, lock=lock)[0].p50_ms


@contextmanager
def _one_at_a_time(lock: Path | None) -> Iterator[None]:
    if lock is None:
        yield
        return
    lock.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(str(lock)):
        yield


def _paddle_version() -> str:
    try:
        return str(import_paddle().__version__)
    except ModuleNotFoundError:
        # Other runtimes need no Paddle.
        return ""


def _processor(device: str) -> str:
    index = gpu_index(device)
    if index is None:
        return processor_name()
    return str(import_paddle().device.cuda.get_device_name(index))
