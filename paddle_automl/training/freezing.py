"""Freezing the loaded layers of a backbone in the first epochs, and its running statistics for longer."""

from __future__ import annotations

from paddle_automl.models.network import Network


class Freezer:
    """Keeps the backbone's loaded parameters from changing in the first `epochs` epochs.

    Meanwhile normalizations with loaded running statistics are used as in evaluation, so that the statistics do not
    change either; with `norm` in all epochs. `names` are the loaded parameters of the backbone.
    """

    def __init__(self, model: Network, epochs: int, *, norm: bool = False) -> None:
        loaded = {name for name in model.loaded_names if name.startswith("backbone.")}
        self.epochs = epochs
        self.norm = norm
        named = dict(model.named_parameters())
        # Paddle counts running statistics as parameters that are not trained.
        statistics = {name for name, parameter in named.items() if parameter.stop_gradient}
        self.names = frozenset((loaded & named.keys()) - statistics)
        self._parameters = [named[name] for name in sorted(self.names)]
        paths = {name.rpartition(".")[0] for name in loaded & statistics}
        self._layers = [layer for path, layer in model.named_sublayers() if path in paths]

    def begin(self, epoch: int) -> None:
        """Freeze or release for epoch `epoch`, from 1; call after the network was set to training mode."""
        frozen = epoch <= self.epochs
        self._set(frozen)
        if frozen or self.norm:
            for layer in self._layers:
                layer.eval()

    def release(self) -> None:
        """Make all parameters trainable again."""
        self._set(False)

    def _set(self, frozen: bool) -> None:
        for parameter in self._parameters:
            parameter.stop_gradient = frozen
