"""The interface of compression steps."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, ClassVar, Literal

from paddle_automl.compression.context import Context
from paddle_automl.core.errors import ConfigError
from paddle_automl.core.registry import Registry
from paddle_automl.core.schema import PluginConfig
from paddle_automl.models.network import Network


class Form(str, Enum):
    """The state of a network between two steps, which determines the possible next steps."""

    DENSE = "dense"
    """Float weights that can be trained."""
    SPARSE = "sparse"
    """Float weights, many of them zero; training must keep the zeros."""
    QUANTIZED = "quantized"
    """8-bit weights, which can no longer be trained or pruned."""


Gain = Literal["cost", "metric", "sparsity"]


@dataclass(frozen=True)
class Outcome:
    """Result of a step."""

    model: Network
    """The new network, in evaluation mode."""
    facts: dict[str, Any] = field(default_factory=dict)
    """Facts reported by the step, JSON-like."""
    repair: Repair | None = None
    """How layers of a quantized network go back to float; None: they cannot."""


class Repair(ABC):
    """A network in 8 bits of which any layers can go back to float, without its calibration being repeated."""

    @abstractmethod
    def layers_by_damage(self) -> list[str]:
        """Return the layers that can be left in float, the one that does most damage in 8 bits first."""

    @abstractmethod
    def leaving(self, layers: Sequence[str]) -> Outcome:
        """Return the network with `layers`, some of `layers_by_damage`, in float."""


class Step(ABC):
    """Returns a compressed copy of a network.

    The given network, dynamic mode and the device are not changed. Raises UnsupportedError for a network that the
    step does not support, ConfigError for options that do not fit it.
    """

    class Config(PluginConfig):
        """Options of the step."""

    name: str = ""
    takes: ClassVar[frozenset[str]] = frozenset({"image"})
    """Names of the inputs whose networks it supports; empty: any."""
    accepts: ClassVar[frozenset[Form]] = frozenset({Form.DENSE})
    """Forms of network that the step supports."""
    leaves: ClassVar[Form] = Form.DENSE
    """Form of the network that it returns."""
    gain: Gain = "cost"
    """What it must improve to be kept: cost (time or size), metric (the task's main one), or sparsity (the fraction
    of zeros)."""

    def __init__(self, config: PluginConfig) -> None:
        self.config = config

    def check(self, model: Network, context: Context) -> None:
        """Raise ConfigError for options that cannot work with `model`; called before the first step runs."""
        del model, context

    @abstractmethod
    def apply(self, model: Network, context: Context) -> Outcome:
        """Return the compressed copy of `model` (the input's arrays [N, ...] to raw outputs [N, K])."""


STEPS: Registry[Step] = Registry("compression step", "paddle_automl.compression.steps", "compression.steps")


def check_steps(steps: Sequence[Step], model: Network, context: Context) -> None:
    """Raise ConfigError for steps that do not support `model` or its kind of input; nothing is run."""
    for index, step in enumerate(steps):
        try:
            _check_input(step, context)
            step.check(model, context)
        except ConfigError as error:
            raise ConfigError([f"compression.steps.{index}: {issue}" for issue in error.issues]) from None


def _check_input(step: Step, context: Context) -> None:
    found = context.data.input.name
    if step.takes and found not in step.takes:
        raise ConfigError(
            f"{step.name} needs a network that takes {' or '.join(sorted(step.takes))} input, but this one takes "
            f"{found} input; leave the step out"
        )
