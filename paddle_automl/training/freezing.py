"""Which loaded layers of a backbone change in which epochs, and how fast."""

from __future__ import annotations

from dataclasses import dataclass, replace

from paddle_automl.models.network import Network
from paddle_automl.models.pretrained import BACKBONE


@dataclass(frozen=True)
class Start:
    """How a training treats layers of the backbone that were loaded from a file of weights.

    The stages are those of `Backbone.stage_names`.
    """

    frozen_epochs: int = 0
    """Epochs at the start in which they do not change."""
    rate: float = 1.0
    """Factor of their learning rate."""
    frozen_norm: bool = False
    """Whether the running statistics of their normalizations do not change in any epoch."""
    stage_decay: float = 1.0
    """Factor of the learning rate from each stage to the one before it; the last one has it once."""
    trained_stages: int | None = None
    """Number of the last stages that are trained; None: all."""
    thaw_epochs: int = 0
    """Epochs after which one more stage is trained, the last one first; 0: all at once."""

    def rate_of(self, depth: int) -> float:
        """Return the factor of the learning rate for the stage `depth`, counted from 0 for the last one."""
        return self.rate * self.stage_decay ** (depth + 1)

    def is_frozen(self, depth: int, epoch: int) -> bool:
        """Return whether the stage `depth`, from 0 for the last one, does not change in epoch `epoch`, from 1."""
        if epoch <= self.frozen_epochs:
            return True
        if self.trained_stages is not None and depth >= self.trained_stages:
            return True
        return bool(self.thaw_epochs) and depth > (epoch - self.frozen_epochs - 1) // self.thaw_epochs

    def thawed(self) -> Start:
        """Return how layers are treated after the epochs in which some are frozen only for a time."""
        return replace(self, frozen_epochs=0, thaw_epochs=0)


class Freezer:
    """Keeps the backbone's loaded parameters from changing as long as `start` says.

    Meanwhile normalizations with loaded running statistics are used as in evaluation, so that the statistics do not
    change either; with `start.frozen_norm` in all epochs. `rates` are the factors of the learning rate of the
    backbone's loaded parameters, by name.
    """

    def __init__(self, model: Network, start: Start) -> None:
        loaded = {name for name in model.loaded_names if name.startswith(BACKBONE)}
        self.start = start
        named = dict(model.named_parameters())
        depths = _depths(model) if loaded else {}
        # Paddle counts running statistics as parameters that are not trained.
        statistics = {name for name, parameter in named.items() if parameter.stop_gradient}
        names = sorted((loaded & named.keys()) - statistics)
        self.rates = {name: start.rate_of(depths[name]) for name in names}
        self._parameters = [(depths[name], named[name]) for name in names]
        paths = {name.rpartition(".")[0]: depths[name] for name in loaded & statistics}
        self._layers = [(paths[path], layer) for path, layer in model.named_sublayers() if path in paths]

    def begin(self, epoch: int) -> None:
        """Freeze or release for epoch `epoch`, from 1; call after the network was set to training mode."""
        for depth, parameter in self._parameters:
            parameter.stop_gradient = self.start.is_frozen(depth, epoch)
        for depth, layer in self._layers:
            if self.start.frozen_norm or self.start.is_frozen(depth, epoch):
                layer.eval()

    def release(self) -> None:
        """Make all parameters trainable again."""
        for _, parameter in self._parameters:
            parameter.stop_gradient = False


def _depths(model: Network) -> dict[str, int]:
    """Return for each parameter of the backbone its stage, counted from 0 for the last one.

    Parameters outside of all stages, such as a token that is joined to the input, count to the first one.
    """
    stages = model.backbone.stage_names()
    found = {}
    for name in model.state_dict():
        if name.startswith(BACKBONE):
            inner = name[len(BACKBONE) :]
            place = next((index for index, stage in enumerate(stages) if inner.startswith(f"{stage}.")), 0)
            found[name] = len(stages) - 1 - place
    return found
