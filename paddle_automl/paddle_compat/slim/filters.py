"""Removing filters of convolutions with PaddleSlim's pruners of dynamic-graph networks."""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import paddle
from paddle import nn

from paddle_automl.core.errors import UnsupportedError
from paddle_automl.paddle_compat.slim.old_ir import naming_on, old_ir
from paddle_automl.paddle_compat.slim.repairs import import_paddleslim, quiet

Criterion = Literal["l1", "l2", "fpgm"]
_PRUNERS: dict[str, str] = {"l1": "L1NormFilterPruner", "l2": "L2NormFilterPruner", "fpgm": "FPGMFilterPruner"}
_BACKUP = "_backup"
_CONV = (nn.Conv2D, nn.Conv2DTranspose)


class FilterPruning:
    """PaddleSlim's pruner of one network, which it changes in place.

    `layers` are the convolutions whose filters can be removed, by the name of the layer: each represents all layers
    that must lose the same channels (the convolutions of a residual stage, the depth-wise convolution after it).
    `obstacles` are the operators through which PaddleSlim cannot follow channels, so the convolutions before them
    keep all filters. The network is traced in evaluation mode with one image of `input_shape` (C, H, W). Raises
    UnsupportedError for a network that cannot be traced.
    """

    def __init__(self, model: nn.Layer, criterion: Criterion, input_shape: tuple[int, int, int]) -> None:
        slim = import_paddleslim()
        self.model = model
        pruner = getattr(slim.dygraph, _PRUNERS[criterion])
        self.obstacles: list[str] = []
        with _tracing(), quiet(), _listening(self.obstacles):
            try:
                self._pruner: Any = pruner(model, [1, *input_shape])
            except Exception as error:
                raise UnsupportedError(
                    f"PaddleSlim cannot trace the network: {type(error).__name__}: {_first_line(error)}"
                ) from error
        self._masters = self._find_masters()

    @property
    def layers(self) -> dict[str, int]:
        """Return the name of each prunable convolution with its number of filters."""
        owners = _owners(self.model)
        return {name: int(owners[master].weight.shape[0]) for name, master in self._masters.items()}

    def prune(self, ratios: Mapping[str, float]) -> None:
        """Remove the given fraction of the filters of each named layer; earlier removals are undone."""
        self.undo()
        wanted = {self._masters[name]: float(ratio) for name, ratio in ratios.items() if ratio > 0}
        with old_ir(), quiet():
            try:
                self._pruner.prune_vars(wanted, axis=0)
            except AssertionError as error:
                raise UnsupportedError(f"PaddleSlim cannot prune this network: {_first_line(error)}") from error
        _sync_attributes(self.model)

    def undo(self) -> None:
        """Restore all filters of the network."""
        with quiet():
            self._pruner.restore()
        _sync_attributes(self.model)

    def finish(self) -> None:
        """Discard the removed filters: afterwards nothing can be undone."""
        for layer in self.model.sublayers(include_self=True):
            for name in [name for name in layer._buffers if name.endswith(_BACKUP)]:
                del layer._buffers[name]
            layer.__dict__.pop("_origin_groups", None)
        self._pruner.plan = None

    def _find_masters(self) -> dict[str, str]:
        owners = _owners(self.model)
        names = {id(layer): name for name, layer in self.model.named_sublayers(include_self=True)}
        masters = {}
        for collection in self._pruner.collections:
            layer = owners.get(collection.master_name)
            if layer is None or collection.master_axis != 0 or layer._groups > 1:
                continue
            masters[names[id(layer)]] = collection.master_name
        return masters


@contextlib.contextmanager
def _tracing() -> Iterator[None]:
    """Use old graphs inside the block; restore dynamic mode afterwards, which PaddleSlim does not if it fails."""
    with old_ir(), naming_on():
        try:
            yield
        finally:
            if not paddle.in_dynamic_mode():
                paddle.disable_static()


@contextlib.contextmanager
def _listening(obstacles: list[str]) -> Iterator[None]:
    """Collect the names of the operators about which PaddleSlim warns."""
    logger = logging.getLogger("paddleslim.prune.collections")
    level, handlers = logger.level, logger.handlers

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            found = re.search(r"Unsupported operator named (\w+)", record.getMessage())
            if found:
                obstacles.append(found.group(1))

    logger.setLevel(logging.WARNING)
    logger.handlers = [Listener()]
    try:
        yield
    finally:
        logger.setLevel(level)
        logger.handlers = handlers


def _owners(model: nn.Layer) -> dict[str, Any]:
    """Return the convolution of each kernel, by the name of the parameter."""
    return {layer.weight.name: layer for layer in model.sublayers(include_self=True) if isinstance(layer, _CONV)}


def _sync_attributes(model: nn.Layer) -> None:
    """Set the sizes that layers report to those of their parameters; PaddleSlim leaves the old ones."""
    for layer in model.sublayers(include_self=True):
        if isinstance(layer, nn.Conv2D):
            out_channels, per_group = layer.weight.shape[:2]
            layer._out_channels, layer._in_channels = out_channels, per_group * layer._groups
        elif isinstance(layer, nn.Linear):
            layer.in_features, layer.out_features = layer.weight.shape
        elif isinstance(layer, nn.BatchNorm2D):
            layer._num_features = layer._mean.shape[0]
        elif isinstance(layer, nn.GroupNorm) and layer.weight is not None:
            layer._num_channels = layer.weight.shape[0]
        elif isinstance(layer, nn.InstanceNorm2D) and layer.scale is not None:
            layer._num_features = layer.scale.shape[0]


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
