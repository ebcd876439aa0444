"""Options by kind of parameter: factors of the learning rate, and when a kind stops."""

from __future__ import annotations

from pydantic import Field

from paddle_automl.core.schema import Section
from paddle_automl.models.kinds import parameter_kinds
from paddle_automl.models.network import Network


class Rates(Section):
    """Factors of the learning rate by kind of parameter; kinds that a network does not have are left out."""

    kernel: float = Field(1.0, gt=0)
    """Kernels of convolutions."""
    matrix: float = Field(1.0, gt=0)
    """Weights of linear layers other than the last one."""
    head: float = Field(1.0, gt=0)
    """Weights of the last linear layer."""
    bias: float = Field(1.0, gt=0)
    """Biases of convolutions and linear layers."""
    norm_scale: float = Field(1.0, gt=0)
    """Scales of normalizations."""
    norm_bias: float = Field(1.0, gt=0)
    """Biases of normalizations; Jordan 2024 (arXiv:2404.00498, section 3.4) uses 64 with momentum."""
    whitening_bias: float = Field(1.0, gt=0)
    """Bias of a first convolution that is computed from training images (speednet)."""


class Ends(Section):
    """Fraction of the training after which a kind of parameter no longer changes; none: it changes to the end."""

    kernel: float | None = Field(None, gt=0, le=1)
    """Kernels of convolutions."""
    matrix: float | None = Field(None, gt=0, le=1)
    """Weights of linear layers other than the last one."""
    head: float | None = Field(None, gt=0, le=1)
    """Weights of the last linear layer."""
    bias: float | None = Field(None, gt=0, le=1)
    """Biases of convolutions and linear layers."""
    norm_scale: float | None = Field(None, gt=0, le=1)
    """Scales of normalizations."""
    norm_bias: float | None = Field(None, gt=0, le=1)
    """Biases of normalizations."""
    whitening_bias: float | None = Field(None, gt=0, le=1)
    """Bias of a first convolution that is computed from training images: Jordan 2024 stops it after a third of the
    training, and the steps after that are cheaper."""


class Stopper:
    """Fixes the parameters of each kind in `ends` after its fraction of the training; `release` ends that."""

    def __init__(self, model: Network, ends: Ends) -> None:
        fractions = {kind: end for kind, end in ends if end is not None}
        kinds = parameter_kinds(model) if fractions else {}
        self._waiting = [
            (fractions[kinds[name]], parameter)
            for name, parameter in model.named_parameters()
            if kinds.get(name) in fractions and not parameter.stop_gradient
        ]

    def at(self, progress: float) -> None:
        """Fix what ends at `progress` from 0 to 1; call before each step."""
        for end, parameter in self._waiting:
            if progress >= end:
                parameter.stop_gradient = True

    def release(self) -> None:
        """Make the parameters trainable again."""
        for _, parameter in self._waiting:
            parameter.stop_gradient = False
