"""Exporting networks of the chain, and measuring scores and speed in the runtime that will serve them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from paddle import nn

from paddle_automl.compression.base import Form
from paddle_automl.compression.config import CompressionConfig, SpeedConfig
from paddle_automl.core.errors import UnsupportedError
from paddle_automl.core.schema import PluginConfig
from paddle_automl.data.running import run_split
from paddle_automl.data.splits import PreparedData, Split
from paddle_automl.deployment.bundle import Bundle
from paddle_automl.deployment.config import DeploymentConfig
from paddle_automl.deployment.exporters._bfloat16 import Bfloat16Session
from paddle_automl.deployment.exporters.base import EXPORTERS, Session
from paddle_automl.deployment.latency import time_sessions
from paddle_automl.deployment.repair import Repaired
from paddle_automl.deployment.runtime import in_lasting_thread
from paddle_automl.inputs.base import Arrays, Input
from paddle_automl.models import kernels
from paddle_automl.tasks.metrics.base import Predictions
from paddle_automl.tasks.metrics.spelling import measure
from paddle_automl.training.evaluation import predict

FLOAT_EXPORTER, INT8_EXPORTER = "paddle_inference", "paddle_program"
WEIGHTS = "*.pdiparams"


def exporter_for(form: Form) -> PluginConfig:
    """Return the exporter for networks of a form."""
    name = INT8_EXPORTER if form is Form.QUANTIZED else FLOAT_EXPORTER
    return EXPORTERS[name].Config(name=name)


def formats_for(form: Form, formats: Sequence[PluginConfig]) -> tuple[PluginConfig, ...]:
    """Return the further formats for networks of a form.

    A network that Paddle quantized cannot be exported to ONNX: it gets a file that ONNX Runtime quantizes from the
    float network before it, and one of OpenVINO where that is asked for.
    """
    if form is not Form.QUANTIZED:
        return tuple(item for item in formats if item.name != FLOAT_EXPORTER)
    found = {}
    for item in formats:
        name = EXPORTERS[item.name].int8
        if name:
            known = EXPORTERS[name].Config.model_fields
            options = {key: value for key, value in item.model_dump().items() if key in known}
            found[name] = EXPORTERS[name].Config.model_validate({**options, "name": name})
    return tuple(found.values())


def formats_asked(config: CompressionConfig, deployment: DeploymentConfig) -> tuple[PluginConfig, ...]:
    """Return the formats that compressed networks are to have besides Paddle's, before `formats_for`."""
    return tuple((deployment.exporter, *deployment.formats) if config.formats is None else config.formats)


def format_used(bundle: Bundle, exporter: PluginConfig) -> str:
    """Return the bundle's format that stands for `exporter`: itself, in 8 bits, or else the first one."""
    names = (exporter.name, EXPORTERS[exporter.name].int8)
    return next((name for name in names if name in bundle.formats), bundle.info.exporter.name)


# -- answers -------------------------------------------------------------------------------------------------------
def main_score(outputs: np.ndarray, split: Split) -> float:
    """Return the value of the task's main metric for outputs [N, K] of all items of `split`."""
    key = split.task.metrics[0]
    return measure([key], Predictions(outputs, split.codes, split.task))[key]


def predict_fast(model: nn.Layer, split: Split) -> np.ndarray:
    """Return the outputs, float32 [N, K], of a network for the items of `split`, computed by the fast layers."""
    with kernels.use("float32"):
        return predict(model, split)


def outputs_of(session: Session, split: Split) -> np.ndarray:
    """Return the outputs of a loaded network for the items of `split`, float32 [N, K].

    Raises UnsupportedError if some are not finite.
    """
    outputs = in_lasting_thread(partial(run_split, split, session))
    wrong = int((~np.isfinite(outputs)).any(axis=1).sum())
    if wrong:
        raise UnsupportedError(
            f"the exported network has outputs that are not finite for {wrong} of {len(split)} validation items"
        )
    return outputs


@dataclass(frozen=True)
class Exported:
    """A network in one format, loaded and run on the validation split."""

    session: Session
    outputs: np.ndarray
    """Outputs for the validation items, float32 [N, K]."""
    folder: Path
    """Folder of its files."""
    repaired: Repaired = field(default_factory=Repaired)
    """Layers of a format in 8 bits that had to be left in float."""


def export_network(
    model: Any,
    exporter: PluginConfig,
    folder: Path,
    data: PreparedData,
    *,
    threads: int,
    calibration: Arrays | None = None,
    accept: Callable[[Session], bool] | None = None,
) -> Exported:
    """Export `model` to the new `folder`, load it and run it on the validation split.

    `calibration` are the arrays [n, ...] for calibrating an 8-bit format, which is repaired until `accept` holds.
    """
    folder.mkdir(parents=True)
    plugin = EXPORTERS[exporter.name](exporter)
    repaired = plugin.export_accepted(
        model,
        folder,
        specs=data.specs,
        final=data.task.final,
        calibration=calibration,
        accept=accept or (lambda session: True),
    )
    session = plugin.session(folder, threads=threads)
    return Exported(session, outputs_of(session, data.validation), folder, repaired)


def weights_mb(folder: Path, pattern: str = WEIGHTS) -> float:
    """Return the size of an export's files that match `pattern`, by default Paddle's weights, MB (10^6 bytes)."""
    return sum(path.stat().st_size for path in folder.glob(pattern)) / 1e6


def sessions_of(exported: Exported, form: Form, *, threads: int) -> dict[str, Session]:
    """Return sessions of Paddle's own export by precision: float32 and bfloat16, or int8; the export's is first."""
    if form is Form.QUANTIZED:
        return {"int8": exported.session}
    return {"float32": exported.session, "bfloat16": Bfloat16Session(exported.folder, threads=threads)}


# -- speed ---------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Timings:
    """Times of one network that was timed in turn with others, ms, [rounds, runs]."""

    times: np.ndarray

    @property
    def p50_ms(self) -> float:
        """The median of all runs."""
        return round(float(np.percentile(self.times, 50)), 4)

    @property
    def p95_ms(self) -> float:
        """The 95th percentile of all runs."""
        return round(float(np.percentile(self.times, 95)), 4)

    def speedup_over(self, other: Timings) -> float:
        """Return the speed-up over `other`, which was timed in turn with it.

        It is the median over the rounds of the ratio of each round's fastest runs, so that load in some runs or
        rounds does not matter.
        """
        return float(np.median(self._ratios(other)))

    def quartiles_over(self, other: Timings) -> list[float]:
        """Return the lower and the upper quartile over the rounds of the speed-up, which shows its noise."""
        return [round(float(value), 4) for value in np.percentile(self._ratios(other), (25, 75))]

    def _ratios(self, other: Timings) -> np.ndarray:
        return np.asarray(other.times.min(axis=1) / self.times.min(axis=1))


def time_networks(
    sessions: Mapping[str, Session],
    input: Input,  # noqa: A002, RUF100
    batch_size: int,
    config: SpeedConfig,
    *,
    lock: Path | None = None,
) -> dict[str, Timings]:
    """Time loaded networks in turn, for several rounds, on one batch of typical values.

    Other load on the machine affects all of them alike, so compare only times of the same call.
    """
    arrays = input.example(batch_size, np.random.default_rng(0))
    times = time_sessions(sessions, arrays, warmup=1, turns=[config.runs] * config.rounds, lock=lock)
    return {name: Timings(np.asarray(rounds)) for name, rounds in times.items()}
