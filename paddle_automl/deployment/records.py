"""What ``bundle.yaml`` holds: the typed record of an exported network and of its proof."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import field_validator

from paddle_automl.core.schema import Plugin, PluginConfig, Section, Sequence
from paddle_automl.data.preprocess import Preprocess
from paddle_automl.deployment.exporters.base import EXPORTERS

FORMAT = 2
"""Number of the bundle format; it rises when an older reader could no longer understand a bundle."""

ROUNDING = 1e-3
"""Differences of probabilities up to here may come from the order of float32 additions alone."""


class ParityCertificate(Section):
    """How far the exported network's probabilities are from the trained network's.

    The trained network runs as a dynamic graph in float32; the exported one is what the bundle's user runs.
    """

    samples: int
    """Images compared: the whole validation part."""

    top1_agreement: float
    """Share of the images, files included, to which both give the same class name."""

    max_abs_difference: float
    """Largest absolute difference between two probabilities of the same class and image."""

    raw_files: int
    """Images that the bundle decoded from files by itself."""

    raw_source: Literal["original files", "written images", "none"]
    """Whether those were the data set's own files, or pixels of an array data set written as PNG."""

    raw_max_abs_difference: float | None
    """Largest absolute difference on those files."""

    max_difference: float
    """Allowed difference (``deployment.parity.max_difference``)."""

    min_top1_agreement: float
    """Needed agreement (``deployment.parity.min_top1_agreement``)."""

    worst_index: int | None
    """Row in the validation part of the largest difference."""

    worst_file: str | None
    """Its file, if the data set has files."""

    worst: str
    """The largest difference in words: where, which class, both probabilities."""

    accuracy: float | None = None
    """Share of the validation images that the exported network classifies correctly."""

    network_accuracy: float | None = None
    """The same share of the trained network."""

    max_accuracy_drop: float | None = None
    """Largest allowed difference of the two; none where equal probabilities are asked for."""

    verified: bool
    """Whether all limits hold."""

    def describe(self) -> str:
        """Return one sentence for people: the verdict, the numbers, where it is worst, what to do."""
        largest = max(self.max_abs_difference, self.raw_max_abs_difference or 0.0)
        verdict = "verified" if self.verified else "NOT verified"
        scores = ""
        if self.max_accuracy_drop is not None:
            scores = (
                f"accuracy {self.accuracy:.4f} after {self.network_accuracy:.4f} "
                f"(may lose {self.max_accuracy_drop:g}), "
            )
        return (
            f"{verdict}: {self.samples} images and {self.raw_files} files ({self.raw_source}), "
            f"top-1 agreement {self.top1_agreement:.4f} (needed {self.min_top1_agreement:g}), {scores}"
            f"largest difference of probabilities {largest:.2e} (allowed {self.max_difference:g}); "
            f"worst: {self.worst}{self._advice(largest)}"
        )

    def _advice(self, largest: float) -> str:
        if self.verified or self.top1_agreement < self.min_top1_agreement or largest > ROUNDING:
            return ""
        return (
            "; the classes agree, and so small a difference is how float32 rounds in a deep network: "
            "deployment.parity.max_difference sets what is allowed"
        )


class Latency(Section):
    """Time of one run of the exported network, with the conditions under which it was taken."""

    batch_size: int
    """Images per run."""

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
    """What ran the network: Paddle Inference, or ONNX Runtime and its version."""

    date: str
    """When, UTC."""


class FormatRecord(Section):
    """A further format of the network, in the folder of the bundle that has the exporter's name."""

    exporter: Annotated[PluginConfig, Plugin(EXPORTERS)]
    """Who wrote the files and can load them."""

    parity: ParityCertificate | None = None
    """Its own proof; none while it is being made."""

    latency: Sequence[Latency] = ()
    """Its own speed, measured in turn with that of the other formats."""

    @property
    def verified(self) -> bool:
        """Whether it carries a certificate that holds."""
        return self.parity is not None and self.parity.verified


class FileRecord(Section):
    """Size and hash of one file of the bundle."""

    bytes: int
    """Size."""

    sha256: str
    """Hash of the content, hexadecimal."""


class BundleInfo(Section):
    """Everything in ``bundle.yaml``."""

    format: int
    """Number of the bundle format."""

    task: Literal["image_classification"] = "image_classification"
    """What the network does."""

    created: str
    """When, UTC."""

    exporter: Annotated[PluginConfig, Plugin(EXPORTERS)]
    """Who wrote the network's files and can load them."""

    input_shape: Sequence[int]
    """(C, H, W) of one image."""

    classes: int
    """Number of classes, the lines of ``labels.txt``."""

    preprocess: Preprocess
    """From a file to the network's input."""

    metrics: dict[str, Any]
    """Scores of the network, as the exporting command measured them."""

    parity: ParityCertificate | None
    """Proof that the export predicts what the trained network predicts; none while it is being made."""

    latency: Sequence[Latency]
    """Measured speed, one record per batch size."""

    formats: Sequence[FormatRecord] = ()
    """Further formats of the network."""

    fastest: str | None = None
    """Exporter of the format that was the fastest of the verified ones, by the median time of the first batch
    size, on the machine that `latency` names; none where nothing was timed."""

    config: dict[str, Any]
    """The configuration that rebuilds the network."""

    versions: dict[str, str]
    """Versions of Python and of the packages that made the bundle."""

    files: dict[str, FileRecord]
    """Every other file of the bundle by its path relative to the bundle."""

    @field_validator("files")
    @classmethod
    def _inside(cls, files: dict[str, FileRecord]) -> dict[str, FileRecord]:
        for name in files:
            path = PurePosixPath(name)
            if path.is_absolute() or ".." in path.parts or "\\" in name:
                raise ValueError(f"file names must lie inside the bundle, got {name!r}")
        return files
