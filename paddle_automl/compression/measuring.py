"""Exporting a link of the chain and measuring it where it will run."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

from paddle_automl.compression.base import Form
from paddle_automl.compression.config import SpeedConfig
from paddle_automl.core.schema import PluginConfig
from paddle_automl.data.parts import Part, PreparedData
from paddle_automl.deployment.exporters._bfloat16 import Bfloat16Session
from paddle_automl.deployment.exporters.base import EXPORTERS, Session
from paddle_automl.deployment.runtime import in_lasting_thread

FLOAT_EXPORTER, INT8_EXPORTER, ONNX_INT8_EXPORTER = "paddle_inference", "paddle_program", "onnx_int8"
WEIGHTS_SUFFIX = ".pdiparams"


@dataclass(frozen=True)
class Exported:
    """A network as its user will run it."""

    exporter: PluginConfig
    sessions: dict[str, Session]
    """By precision: float32 and bfloat16, or int8; then by the names of further formats."""
    predicted: np.ndarray
    """Class of each validation image, int64 [N], by the first of the sessions."""
    accuracy: float
    """Of those classes."""
    bytes: int
    """Size of the file of weights."""

    @property
    def precision(self) -> str:
        """Return the precision of the export itself: float32 or int8."""
        return next(iter(self.sessions))

    @property
    def session(self) -> Session:
        """Return the session in that precision."""
        return self.sessions[self.precision]


def exporter_for(form: Form) -> PluginConfig:
    """Return the exporter of networks of a form."""
    name = INT8_EXPORTER if form is Form.QUANTIZED else FLOAT_EXPORTER
    return EXPORTERS[name].Config(name=name)


def formats_for(form: Form, formats: Sequence[PluginConfig]) -> tuple[PluginConfig, ...]:
    """Return the further formats that networks of a form get.

    No ONNX file can be made of a network that Paddle quantized: it gets one that ONNX Runtime quantizes from the
    float network before it.
    """
    if form is not Form.QUANTIZED:
        return tuple(item for item in formats if item.name != FLOAT_EXPORTER)
    onnx = [item for item in formats if EXPORTERS[item.name].runtime == "onnx"]
    return tuple(
        EXPORTERS[ONNX_INT8_EXPORTER].Config.model_validate({**item.model_dump(), "name": ONNX_INT8_EXPORTER})
        for item in onnx[-1:]
    )


@dataclass(frozen=True)
class FormatExport:
    """A network in a further format."""

    session: Session
    accuracy: float
    bytes: int
    """Size of its files."""


def export_format(
    model: Any, config: PluginConfig, folder: Path, data: PreparedData, *, threads: int, images: np.ndarray | None
) -> FormatExport:
    """Export `model` in a further format to the new `folder`, load it and evaluate it on the validation part.

    `images` are those that a format in 8 bits looks at.
    """
    folder.mkdir(parents=True)
    plugin = EXPORTERS[config.name](config)
    plugin.export(model, folder, input_shape=data.input_shape, images=images)
    session = plugin.session(folder, threads=threads)
    predicted = in_lasting_thread(partial(classes_of, session, data.validation))
    accuracy = float((predicted == data.validation.labels).mean())
    return FormatExport(session, accuracy, sum(path.stat().st_size for path in folder.iterdir()))


def export_network(
    model: Any, form: Form, folder: Path, part: Part, *, input_shape: tuple[int, int, int], threads: int
) -> Exported:
    """Export `model` to the new `folder`, load it and evaluate it on `part`."""
    folder.mkdir(parents=True)
    config = exporter_for(form)
    plugin = EXPORTERS[config.name](config)
    plugin.export(model, folder, input_shape=input_shape)
    session = plugin.session(folder, threads=threads)
    if form is Form.QUANTIZED:
        sessions: dict[str, Session] = {"int8": session}
    else:
        sessions = {"float32": session, "bfloat16": Bfloat16Session(folder, threads=threads)}
    size = sum(path.stat().st_size for path in folder.iterdir() if path.suffix == WEIGHTS_SUFFIX)
    predicted = in_lasting_thread(partial(classes_of, session, part))
    return Exported(config, sessions, predicted, float((predicted == part.labels).mean()), size)


def probabilities_of(session: Session, part: Part, batch_size: int = 64) -> np.ndarray:
    """Return the probabilities that a loaded network gives the images of `part`, float32 [N, K]."""
    return np.concatenate([session(batch.images) for batch in part.batches(batch_size)])


def classes_of(session: Session, part: Part) -> np.ndarray:
    """Return the class that a loaded network gives each image of `part`, int64 [N]."""
    classes: np.ndarray = probabilities_of(session, part).argmax(axis=1)
    return classes


@dataclass(frozen=True)
class Pace:
    """Times of one network in a race, ms, [rounds, runs]."""

    times: np.ndarray

    @property
    def p50_ms(self) -> float:
        """Return the median of all runs."""
        return round(float(np.percentile(self.times, 50)), 4)

    @property
    def p95_ms(self) -> float:
        """Return the 95th percentile of all runs."""
        return round(float(np.percentile(self.times, 95)), 4)

    def speedup_over(self, other: Pace) -> float:
        """Return how many times as fast it is as `other` of the same race.

        The fastest runs of each round are compared, and the median over the rounds is taken: what another
        process takes away in some runs, or in some rounds, does not decide.
        """
        return float(np.median(other.times.min(axis=1) / self.times.min(axis=1)))


def race(
    runners: Mapping[str, Session],
    input_shape: tuple[int, int, int],
    batch_size: int,
    config: SpeedConfig,
    *,
    lock: Path | None = None,
) -> dict[str, Pace]:
    """Time loaded networks in turn, round after round, on one normalized batch.

    A disturbance of the machine then meets all of them: compare the times of one race, not of two.
    """
    images = np.random.default_rng(0).standard_normal((batch_size, *input_shape), dtype=np.float32)
    with FileLock(str(lock)) if lock is not None else nullcontext():
        times = in_lasting_thread(partial(_rounds, runners, images, config))
    return {name: Pace(np.asarray(rounds)) for name, rounds in times.items()}


def _rounds(
    runners: Mapping[str, Session], images: np.ndarray, config: SpeedConfig
) -> dict[str, list[list[float]]]:
    times: dict[str, list[list[float]]] = {name: [] for name in runners}
    for run in runners.values():
        run(images)
    for _ in range(config.rounds):
        for name, run in runners.items():
            # The first run of a turn finds the caches full of another network.
            run(images)
            times[name].append([_timed(run, images) for _ in range(config.runs)])
    return times


def _timed(run: Callable[[np.ndarray], object], images: np.ndarray) -> float:
    start = time.perf_counter()
    run(images)
    return (time.perf_counter() - start) * 1000
