"""Options of the section `compression`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from paddle_automl.compression.base import STEPS, Form
from paddle_automl.core.schema import Plugin, PluginConfig, Section, Sequence
from paddle_automl.deployment.config import Formats, check_formats

POST = "quantize_post"
"""The step that is added for `precision: int8` if the chain has no quantizing step."""


class SpeedConfig(Section):
    """How the networks of the chain are timed: in turns, repeatedly, so that other load affects all of them."""

    batch_sizes: Sequence[Annotated[int, Field(ge=1)]] = Field((1, 8, 32), min_length=1)
    """Batch sizes that are timed."""
    gate_batch_size: int = Field(8, ge=1)
    """Batch size whose speed-up decides; it is timed even if it is not listed."""
    rounds: int = Field(20, ge=1)
    """Rounds; in each of them every network is timed once."""
    runs: int = Field(5, ge=1)
    """Timed runs of a network per round, after one that is not timed."""
    threads: int = Field(1, ge=1)
    """Threads of the CPU math library."""

    def sizes(self) -> tuple[int, ...]:
        """Return the batch sizes to time, in ascending order."""
        return tuple(sorted({*self.batch_sizes, self.gate_batch_size}))


class CompressionConfig(Section):
    """A chain of steps, and the gates that the network of each step must pass to be kept."""

    steps: Sequence[Annotated[PluginConfig, Plugin(STEPS)]] = ()
    """Steps in their order; none: nothing is compressed."""
    precision: Literal["float32", "int8"] | None = None
    """Type of the weights at the end of the chain. int8: quantize_post closes a chain that has no quantizing step;
    float32: quantizing steps are left out; None: as the steps leave it."""
    in_trials: bool = False
    """Compress each trained network of a training or search in this way, without gates: objectives are measured on
    what comes out, options of compression may be searched (search.space), and the winner is exported compressed.
    Otherwise the chain runs once, after a search, on its winner."""
    max_drop: float = Field(0.01, ge=0)
    """How much worse the task's main metric on validation may be than before compression, in its own unit: 0.01 is
    one percentage point of accuracy or macro F1; of R2 (regression) it is a squared error larger by one hundredth
    of the targets' variance."""
    min_speedup: float | None = Field(None, gt=0)
    """Speed-up over the network before compression that each step which is to save time must reach. None:
    it is enough to be faster than before the step by more than the noise, and not slower for one item, or to be
    smaller, with all files of the export."""
    min_agreement: float = Field(0.95, ge=0, le=1)
    """Smallest fraction of validation items to which an 8-bit export and its network give the same answer: the same
    class, all the same labels, or numbers within a fifth of the targets' standard deviation."""
    formats: Formats | None = None
    """Further formats of the kept networks, measured and timed together with Paddle's own: paddle_program, onnx,
    onnx_int8. An 8-bit network gets onnx_int8 for either of the last two, made by ONNX Runtime from the float
    network before it. None: deployment.exporter and deployment.formats."""
    speed: SpeedConfig = SpeedConfig()
    """Measurement of the speed-up."""

    @field_validator("formats")
    @classmethod
    def _each_format_once(cls, formats: Formats | None) -> Formats | None:
        return None if formats is None else check_formats(formats)

    @model_validator(mode="after")
    def _order(self) -> CompressionConfig:
        check_order(self.steps)
        if self.in_trials and not self.steps and self.precision is None:
            raise ValueError("in_trials: needs steps, or a precision")
        return self

    def chain(self) -> tuple[PluginConfig, ...]:
        """Return the steps that run, in their order, including the effect of `precision`."""
        if self.precision is None:
            return self.steps
        quantizing = [item for item in self.steps if STEPS[item.name].leaves is Form.QUANTIZED]
        if self.precision == "float32":
            return tuple(item for item in self.steps if item not in quantizing)
        if quantizing:
            return self.steps
        return (*self.steps, STEPS[POST].Config.model_validate({"name": POST, "analysis": False}))


def check_order(steps: Iterable[PluginConfig]) -> None:
    """Raise ValueError for a chain in which a step would get a network that it does not support."""
    form, before = Form.DENSE, ""
    for index, config in enumerate(steps):
        step = STEPS[config.name]
        if form not in step.accepts:
            needed = " or ".join(sorted(item.value for item in step.accepts))
            raise ValueError(
                f"steps.{index}: {config.name} needs a {needed} network, but after {before} it is {form.value}; "
                f"put {config.name} before {before}"
            )
        form, before = step.leaves, config.name
