"""Exporting a network of the chain and measuring it where it will run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from paddle_automl.compression.base import Form
from paddle_automl.compression.config import SpeedConfig
from paddle_automl.core.schema import PluginConfig
from paddle_automl.data.running import run_split
from paddle_automl.data.splits import PreparedData, Split
from paddle_automl.deployment.exporters._bfloat16 import Bfloat16Session
from paddle_automl.deployment.exporters.base import EXPORTERS, Session
from paddle_automl.deployment.latency import time_sessions
from paddle_automl.deployment.runtime import in_lasting_thread
from paddle_automl.inputs.base import Arrays, Input
from paddle_automl.tasks.base import Task
from paddle_automl.tasks.metrics.base import Predictions
from paddle_automl.tasks.metrics.spelling import goal_of, measure

FLOAT_EXPORTER, INT8_EXPORTER, ONNX_INT8_EXPORTER = "paddle_inference", "paddle_program", "onnx_int8"
WEIGHTS_SUFFIX = ".pdiparams"


@dataclass(frozen=True)
class Exported:
    """A network as its user will run it."""

    exporter: PluginConfig
    sessions: dict[str, Session]
    """By precision: float32 and bfloat16, or int8; then by the names of further formats."""
    outputs: np.ndarray
    """Outputs for the validation items, float32 [N, K], by the first of the sessions."""
    score: float
    """Their value in the task's main metric."""
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
    score: float
    """Value of the task's main metric on the validation split."""
    bytes: int
    """Size of its files."""


def main_score(task: Task, outputs: np.ndarray, codes: np.ndarray) -> float:
    """Return the value of the task's main metric."""
    key = task.metrics[0]
    return measure([key], Predictions(outputs, codes, task))[key]


def drop_of(task: Task, before: float, after: float) -> float:
    """Return by how much `after` is worse than `before` in the task's main metric; negative: better."""
    return before - after if goal_of(task.metrics[0]) == "maximize" else after - before


def export_format(
    model: Any,
    config: PluginConfig,
    folder: Path,
    data: PreparedData,
    *,
    threads: int,
    calibration: Arrays | None,
) -> FormatExport:
    """Export `model` in a further format to the new `folder`, load it and evaluate it on the validation split.

    `calibration` are the arrays that a format in 8 bits looks at.
    """
    folder.mkdir(parents=True)
    plugin = EXPORTERS[config.name](config)
    plugin.export(model, folder, specs=data.specs, final=data.task.final, calibration=calibration)
    session = plugin.session(folder, threads=threads)
    outputs = outputs_of(session, data.validation)
    score = main_score(data.task, outputs, data.validation.codes)
    return FormatExport(session, score, sum(path.stat().st_size for path in folder.iterdir()))


def export_network(model: Any, form: Form, folder: Path, split: Split, *, threads: int) -> Exported:
    """Export `model` to the new `folder`, load it and evaluate it on `split`."""
    folder.mkdir(parents=True)
    config = exporter_for(form)
    plugin = EXPORTERS[config.name](config)
    plugin.export(model, folder, specs=split.input.specs, final=split.task.final)
    session = plugin.session(folder, threads=threads)
    if form is Form.QUANTIZED:
        sessions: dict[str, Session] = {"int8": session}
    else:
        sessions = {"float32": session, "bfloat16": Bfloat16Session(folder, threads=threads)}
    size = sum(path.stat().st_size for path in folder.iterdir() if path.suffix == WEIGHTS_SUFFIX)
    outputs = outputs_of(session, split)
    return Exported(config, sessions, outputs, main_score(split.task, outputs, split.codes), size)


def outputs_of(session: Session, split: Split) -> np.ndarray:
    """Return the outputs that a loaded network gives for the items of `split`, float32 [N, K]."""
    return in_lasting_thread(partial(run_split, split, session))


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
    input: Input,  # noqa: A002, RUF100
    batch_size: int,
    config: SpeedConfig,
    *,
    lock: Path | None = None,
) -> dict[str, Pace]:
    """Time loaded networks in turn, round after round, on one batch of typical values.

    A disturbance of the machine then meets all of them: compare the times of one race, not of two.
    """
    arrays = input.example(batch_size, np.random.default_rng(0))
    times = time_sessions(runners, arrays, warmup=1, turns=[config.runs] * config.rounds, lock=lock)
    return {name: Pace(np.asarray(rounds)) for name, rounds in times.items()}
