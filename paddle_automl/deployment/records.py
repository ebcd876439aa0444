"""The content of ``bundle.yaml``: the typed record of an exported network."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Annotated, Any

from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from paddle_automl.core.fitted import FittedPlugin
from paddle_automl.core.schema import Plugin, PluginConfig, Section, Sequence
from paddle_automl.deployment.exporters.base import EXPORTERS
from paddle_automl.deployment.parity_record import ParityRecord
from paddle_automl.deployment.rejection_records import (
    CalibrationRecord,
    DataRecord,
    IntervalsRecord,
    RejectionRecord,
)
from paddle_automl.inputs.base import INPUTS
from paddle_automl.tasks.base import TASKS

FORMAT = 3
"""Number of the bundle format; it increases when older readers cannot read new bundles."""


class Latency(Section):
    """Time of one run of the exported network, with the conditions of the measurement."""

    batch_size: int
    """Items per run."""

    p50_ms: float
    """Median."""

    p95_ms: float
    """95th percentile."""

    min_ms: float
    """Fastest run: the one least disturbed by other processes."""

    runs: int
    """Timed runs."""

    warmup: int
    """Runs before them."""

    threads: int
    """Threads of the CPU math library."""

    device: str
    """``cpu`` or ``gpu:N``."""

    processor: str
    """Name of the processor (or GPU)."""

    paddle: str
    """Version of Paddle."""

    runtime: str = "Paddle Inference"
    """Runtime of the network: Paddle Inference, or ONNX Runtime and its version."""

    date: str
    """When, UTC."""


class FormatRecord(Section):
    """A further format of the network, in the folder of the bundle that has the exporter's name."""

    exporter: Annotated[PluginConfig, Plugin(EXPORTERS)]
    """Exporter that wrote the files and can load them."""

    parity: ParityRecord | None = None
    """Its own parity check; none while the bundle is being made."""

    latency: Sequence[Latency] = ()
    """Its own times, measured in turn with those of the other formats."""

    float_layers: Sequence[str] = ()
    """Layers of a format in 8 bits that went back to float, because the answers differed too much."""

    layers: int = 0
    """Number of layers of which those were chosen; 0: nothing had to be repaired."""

    @property
    def exact(self) -> bool:
        """Whether its outputs equal the network's up to rounding; false: it computes in fewer bits.

        A network that was quantized before its export is not exact in any format: its check allows any difference.
        """
        allowed = self.parity is None or self.parity.max_difference is not None
        return EXPORTERS[self.exporter.name].exact and allowed

    @property
    def verified(self) -> bool:
        """Whether its parity check passed, also by its recorded values."""
        return self.parity is not None and self.parity.verified and self.parity.within_limits


class FileRecord(Section):
    """Size and hash of one file of the bundle."""

    bytes: int
    """Size."""

    sha256: str
    """Hash of the content, hexadecimal."""


class TensorRecord(Section):
    """One array that the network takes."""

    name: str
    """Name of the input in the network's file."""

    shape: Sequence[int | None]
    """Sizes without the batch axis; null: any size."""

    dtype: str
    """NumPy's name of the type."""


class BundleInfo(Section):
    """Everything in ``bundle.yaml``, except its own hash ``sha256``."""

    format: int
    """Number of the bundle format."""

    created: str
    """When, UTC."""

    exporter: Annotated[PluginConfig, Plugin(EXPORTERS)]
    """Exporter that wrote the network's files and can load them."""

    task: Annotated[PluginConfig, FittedPlugin(TASKS)]
    """From the network's outputs to answers: kind of task, names, thresholds, scale."""

    input: Annotated[PluginConfig, FittedPlugin(INPUTS)]
    """From a file or text to the network's arrays: kind of input, size, normalization."""

    inputs: Sequence[TensorRecord] = Field(min_length=1)
    """The arrays that the network takes, in order."""

    metrics: dict[str, Any]
    """Scores of the network, measured by the exporting command."""

    parity: ParityRecord | None
    """Result of the parity check of the first format; none while the bundle is being made."""

    latency: Sequence[Latency]
    """Measured times, one record per batch size."""

    formats: Sequence[FormatRecord] = ()
    """Further formats of the network."""

    fastest: str | None = None
    """Exporter of the fastest verified format, by the median time of the first batch size, on the machine that
    `latency` names; none if nothing was timed."""

    calibration: CalibrationRecord | None = None
    """Calibration of the probabilities; none for tasks without them."""

    intervals: IntervalsRecord | None = None
    """Coverage of the intervals of numbers; none for tasks without them."""

    rejection: RejectionRecord | None = None
    """Refusal of items of no class; none if it is off, or does not apply to the task."""

    data: DataRecord | None = None
    """The data; none for a bundle of an earlier version."""

    config: dict[str, Any]
    """The configuration that rebuilds the network."""

    versions: dict[str, str]
    """Versions of Python and of the packages that made the bundle."""

    files: dict[str, FileRecord]
    """Every other file of the bundle by its path relative to the bundle."""

    @model_validator(mode="after")
    def _has_the_fastest(self) -> BundleInfo:
        names = [self.exporter.name, *(item.exporter.name for item in self.formats)]
        if self.fastest is not None and self.fastest not in names:
            raise PydanticCustomError(
                "stated", "fastest: must be one of the formats {names}", {"names": ", ".join(names)}
            )
        return self

    @field_validator("files")
    @classmethod
    def _inside(cls, files: dict[str, FileRecord]) -> dict[str, FileRecord]:
        for name in files:
            path = PurePosixPath(name)
            if path.is_absolute() or ".." in path.parts or "\\" in name:
                raise ValueError(f"file names must lie inside the bundle, got {name!r}")
        return files
