"""Kinds of parameters, by which a training sets rates."""

from __future__ import annotations

from typing import Literal

from paddle import Tensor, nn

from paddle_automl.models.tables import RowTable

Kind = Literal["kernel", "matrix", "head", "bias", "norm_scale", "norm_bias", "whitening_bias", "table", "solved"]
"""kernel: kernels of convolutions; matrix: weights of linear layers other than the last one, and tables of vectors;
head: weights of the last linear layer, also of each part of a sum; bias: biases, and other parameters of one axis;
norm_scale and norm_bias: those of normalizations; whitening_bias: the bias of a first convolution that is computed
from training images; table: tables of which a batch uses few rows (`RowTable`), with an update of their own;
solved: what is computed from the training items at once (`Backbone.solve`)."""

BESIDE_OPTIMIZER: frozenset[str] = frozenset({"table", "solved"})
"""Kinds that the optimizer of a recipe does not update."""

_NORMS = (nn.BatchNorm1D, nn.BatchNorm2D, nn.GroupNorm, nn.InstanceNorm1D, nn.InstanceNorm2D, nn.LayerNorm)


def parameter_kinds(model: nn.Layer) -> dict[str, Kind]:
    """Return the kind of each parameter of a network by its name, running statistics included.

    They follow from the layers, but the backbone may choose another (`Backbone.kinds`).
    """
    kinds: dict[str, Kind] = {}
    for path, layer in model.named_sublayers(include_self=True):
        for name, parameter in layer.named_parameters(include_sublayers=False):
            full = f"{path}.{name}" if path else name
            kinds[full] = _kind(layer, name, parameter)
    # A head may have several layers.
    last = [name for name, kind in kinds.items() if name.startswith("fc.") and kind == "matrix"]
    if last:
        kinds[last[-1]] = "head"
    backbone = getattr(model, "backbone", None)
    chosen = {} if backbone is None else backbone.kinds()
    return {**kinds, **{f"backbone.{name}": kind for name, kind in chosen.items()}}


def scale_free_kernels(model: nn.Layer) -> frozenset[str]:
    """Return the names of the kernels whose scale has no effect: a normalization follows (`LayerFactory.conv`)."""
    return frozenset(
        f"{path}.weight"
        for path, layer in model.named_sublayers(include_self=True)
        if getattr(layer, "scale_free", False)
    )


def kind_of(parameter: Tensor) -> Kind:
    """Return the kind that follows from the number of axes alone."""
    axes = len(parameter.shape)
    return "kernel" if axes > 2 else "matrix" if axes == 2 else "bias"


def _kind(layer: nn.Layer, name: str, parameter: Tensor) -> Kind:
    if isinstance(layer, RowTable) and (layer.solved or name == "weight"):
        return "solved" if layer.solved else "table"
    if isinstance(layer, _NORMS):
        return "norm_bias" if name == "bias" else "norm_scale"
    return kind_of(parameter)
