"""The section ``deployment``: how the final network is exported, checked and timed."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from paddle_automl.core.schema import Plugin, PluginConfig, Section, Sequence, default
from paddle_automl.deployment.exporters.base import EXPORTERS
from paddle_automl.deployment.rejection.base import SCORES

DEFAULT_SCORES = ("max_probability", "gen", "energy")
"""Not class_similarity: Paddle Inference computes it differently for some deep networks, and then a second export
without it is needed."""


class ParityConfig(Section):
    """Limits within which an export counts as equal to the trained network."""

    max_difference: float = Field(default=1e-5, gt=0, le=1)
    """Largest allowed difference between the two outputs for an item: absolute for probabilities, a fraction of the
    targets' scale for predicted numbers."""

    min_agreement: float = Field(default=1.0, ge=0, le=1)
    """Smallest allowed fraction of items for which both give the same answer; 1 = all of them."""

    raw_files: int = Field(default=20, ge=0)
    """Number of items that are also read from files and compared; 0 = none."""

    min_agreement_int8: float = Field(default=0.95, ge=0, le=1)
    """The same fraction for a format in fewer bits (onnx_int8, openvino_int8, openvino_bfloat16)."""

    max_drop_int8: float = Field(default=0.01, ge=0)
    """How much worse the task's main metric may be for such a format on the validation split: 0.01 of accuracy is
    one percentage point."""


class LatencyConfig(Section):
    """How the exported network is timed, in each of its formats under the runtime of the format."""

    batch_sizes: Sequence[Annotated[int, Field(ge=1)]] = (1,)
    """Batch sizes that are timed; an empty list times nothing."""

    warmup: int = Field(default=5, ge=0)
    """Runs before the timed ones: the first runs choose kernels and allocate memory."""

    runs: int = Field(default=50, ge=1)
    """Timed runs per batch size."""

    threads: int = Field(default=1, ge=1)
    """Threads of the runtime during the measurement."""

    further_threads: Sequence[Annotated[int, Field(ge=1)]] = ()
    """Further numbers of threads with which every format and batch size is timed in a bundle."""


LEAST_CLASSES = 3
"""Fewest classes for a training that withholds some of them: two must be left to tell apart."""


class RejectionConfig(Section):
    """Refusal of items that belong to none of the classes; for tasks with one class per item."""

    active: bool = True
    """Whether predictions of a bundle can be "unknown"."""

    scores: Sequence[Annotated[PluginConfig, Plugin(SCORES)]] = Field(
        default_factory=lambda: tuple(SCORES[name].Config(name=name) for name in DEFAULT_SCORES)
    )
    """Scores to choose from: a training with some classes withheld decides which one tells their items best from
    known ones. Without it the first is taken that needs the probabilities alone."""

    keep: float = Field(default=0.95, gt=0, lt=1)
    """Fraction of the validation items that must not be refused. It sets the threshold: more known items kept means
    fewer strangers refused."""

    training_s: float = Field(default=20.0, ge=0)
    """Most seconds for the training with withheld classes, and at most a tenth of budget.time; 0 = no such
    training."""

    @field_validator("scores")
    @classmethod
    def _each_once(cls, scores: Sequence[PluginConfig]) -> Sequence[PluginConfig]:
        names = [item.name for item in scores]
        if not names or len(set(names)) < len(names):
            raise ValueError("must name at least one score, each once; to turn it off, set active: false")
        return scores


Formats = Sequence[Annotated[PluginConfig, Plugin(EXPORTERS)]]


def check_formats(formats: Formats) -> Formats:
    """Return the formats; raises ValueError for duplicates."""
    names = [item.name for item in formats]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"the format {name} is given twice; name it once")
    return formats


class DeploymentConfig(Section):
    """Export of the final network to a bundle."""

    exporter: Annotated[PluginConfig, Plugin(EXPORTERS, "paddle_inference")] = default("paddle_inference")
    """File format of the exported network, in float; formats in 8 bits are further ones."""

    formats: Formats = ()
    """Further formats of the same network in the bundle, each with its own parity check and times: paddle_program;
    onnx and onnx_int8, which need the extra `onnx`; openvino, openvino_bfloat16 and openvino_int8, which need the
    extra `openvino`. Layers of an 8-bit format that cost too much accuracy go back to float."""

    tables: Literal["auto", "plain"] = "auto"
    """How large tables, of n-grams and tokens, are stored in the formats of Paddle. auto: in 8 bits, and without
    their smallest rows, where answers on validation stay as good but for less than noise, unless `formats` has
    one of another runtime: then all files have the tables as they were trained; plain: always."""

    parity: ParityConfig = ParityConfig()
    """Check that the export predicts what the trained network predicts."""

    paddlex: Literal["auto", "required", "none"] = "auto"
    """Files for PaddleX 3 (inference.yml, pipeline.yaml), with which it loads the bundle's folder as it is. auto:
    where it can, which takes images, one class each, and fit: crop of squares or stretch; required: otherwise it is
    an error, before anything is trained."""

    latency: LatencyConfig = LatencyConfig()
    """Measurement of the exported network's speed."""

    rejection: RejectionConfig = RejectionConfig()
    """Refusal of items that belong to none of the classes."""

    samples: int = Field(default=5, ge=0)
    """Items of the validation split that are kept in the bundle with their expected outputs."""

    @field_validator("formats")
    @classmethod
    def _each_once(cls, formats: Formats) -> Formats:
        return check_formats(formats)
