"""What a step of compression is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, ClassVar, Literal

from paddle_automl.compression.context import Context
from paddle_automl.core.errors import ConfigError
from paddle_automl.core.registry import Registry
from paddle_automl.core.schema import PluginConfig
from paddle_automl.models.network import Network


class Form(str, Enum):
    """The state of a network between two steps, which decides what can come next."""

    DENSE = "dense"
    """Float weights, free to learn."""
    SPARSE = "sparse"
    """Float weights, many of them zero; training must keep the zeros."""
    QUANTIZED = "quantized"
    """8-bit weights, which cannot be trained or pruned any more."""


Gain = Literal["cost", "accuracy", "sparsity"]


@dataclass(frozen=True)
class Outcome:
    """What a step made of a network."""

    model: Network
    """The new network, in evaluation mode."""
    facts: dict[str, Any] = field(default_factory=dict)
    """What the step found out on its way, JSON-like."""


class Step(ABC):
    """Takes a network and returns a new one.

    The network handed in is left untouched, and so are dynamic mode and the device. Raises UnsupportedError
    for a network that the step cannot work on, ConfigError for options that do not fit it.
    """

    class Config(PluginConfig):
        """Options of the step."""

    name: str = ""
    takes: ClassVar[frozenset[str]] = frozenset({"image"})
    """Names of the inputs whose networks it can work on; empty: any."""
    accepts: ClassVar[frozenset[Form]] = frozenset({Form.DENSE})
    """Forms of network that the step can work on."""
    leaves: ClassVar[Form] = Form.DENSE
    """Form of the network that it returns."""
    gain: Gain = "cost"
    """What it must improve to be kept: cost (time or size), accuracy (the task's main metric), or the fraction of
    zeros."""

    def __init__(self, config: PluginConfig) -> None:
        self.config = config

    def check(self, model: Network, context: Context) -> None:
        """Raise ConfigError for options that cannot work on `model`; called before the first step runs."""
        del model, context

    @abstractmethod
    def apply(self, model: Network, context: Context) -> Outcome:
        """Return the compressed copy of `model` (the input's arrays [N, ...] to raw outputs [N, K])."""

    @classmethod
    def check_input(cls, context: Context) -> None:
        """Raise ConfigError for data whose networks the step cannot work on."""
        found = context.data.input.name
        if cls.takes and found not in cls.takes:
            raise ConfigError(
                f"{cls.name}: works on networks of {' and '.join(sorted(cls.takes))} input, and the data are "
                f"{found} input; leave the step out"
            )


STEPS: Registry[Step] = Registry("compression step", "paddle_automl.compression.steps", "compression.steps")
