"""What a step of compression is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, ClassVar, Literal

from paddle_automl.compression.context import Context
from paddle_automl.core.registry import Registry
from paddle_automl.core.schema import PluginConfig
from paddle_automl.models.classifier import Classifier


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

    model: Classifier
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
    accepts: ClassVar[frozenset[Form]] = frozenset({Form.DENSE})
    """Forms of network that the step can work on."""
    leaves: ClassVar[Form] = Form.DENSE
    """Form of the network that it returns."""
    gain: Gain = "cost"
    """What it must improve to be kept: cost (time or size), accuracy, or the share of zeros."""

    def __init__(self, config: PluginConfig) -> None:
        self.config = config

    def check(self, model: Classifier, context: Context) -> None:
        """Raise ConfigError for options that cannot work on `model`; called before the first step runs."""
        del model, context

    @abstractmethod
    def apply(self, model: Classifier, context: Context) -> Outcome:
        """Return the compressed copy of `model` (images [N, C, H, W] to logits [N, K])."""


STEPS: Registry[Step] = Registry("compression step", "paddle_automl.compression.steps", "compression.steps")
