"""Preparing a network for 8 bits: plain layers, and observed outputs where branches are joined."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from paddle import Tensor, nn

from paddle_automl.compression.copying import copy_of
from paddle_automl.compression.int8_kernels import rounded
from paddle_automl.compression.maps import hooked, run_on_zeros
from paddle_automl.core.errors import ConfigError, UnsupportedError, did_you_mean
from paddle_automl.inputs.base import TensorSpec
from paddle_automl.models.network import Network
from paddle_automl.paddle_compat.layers import replace_layer
from paddle_automl.paddle_compat.slim.conversion import plain_convolution, plain_linear

_POOLS = (nn.AdaptiveAvgPool2D, nn.AvgPool2D, nn.MaxPool2D, nn.AdaptiveMaxPool2D)
_TRANSPARENT = (nn.Identity, nn.Dropout)


class Observed(nn.Layer):
    """A layer whose output is observed, so that it gets its own scale.

    oneDNN adds two branches inside an 8-bit convolution only if the other branch has a scale; without it, that
    convolution, often half of a residual network's work, runs in float32.
    """

    def __init__(self, layer: nn.Layer) -> None:
        super().__init__()
        self.layer = layer
        self.output = nn.Identity()
        self.training = layer.training

    def forward(self, x):  # type: ignore[no-untyped-def]
        """Map the layer's input to its output."""
        return rounded(self.output, self.layer(x))


def ready_for_int8(model: Network, specs: Sequence[TensorSpec]) -> tuple[Network, dict[str, str]]:
    """Return a copy of `model` with plain layers and `Observed` ones, and the layers that can have 8-bit weights.

    The mapping is from the name of a layer in `model` to its name in the copy.
    """
    twin = copy_of(model)
    names = layers_for_int8(twin)
    for name, layer in list(twin.named_sublayers()):
        if isinstance(layer, nn.Conv2D):
            replace_layer(twin, name, plain_convolution(layer))
        elif isinstance(layer, nn.Linear):
            replace_layer(twin, name, plain_linear(layer))
    for name in _joined_layers(twin, specs):
        replace_layer(twin, name, Observed(dict(twin.named_sublayers())[name]))
        if name in names:
            names[name] = f"{name}.layer"
    return twin, names


def layers_for_int8(model: nn.Layer) -> dict[str, str]:
    """Return the layers that can have 8-bit weights, by name: each name maps to itself.

    Layers with the attribute `float_only` cannot.
    """
    return {
        name: name
        for name, layer in model.named_sublayers()
        if isinstance(layer, nn.Conv2D | nn.Linear) and not getattr(layer, "float_only", False)
    }


def observed_outputs(model: nn.Layer) -> list[str]:
    """Return the names of the identities whose outputs are observed."""
    return [f"{name}.output" for name, layer in model.named_sublayers() if isinstance(layer, Observed)]


def without(names: dict[str, str], skipped: tuple[str, ...], where: str) -> dict[str, str]:
    """Return the layers that match no pattern of `skipped`; `where` names the option in messages.

    Raises ConfigError for a pattern that matches no layer, UnsupportedError if no layer is left.
    """
    for pattern in skipped:
        if not any(fnmatchcase(name, pattern) for name in names):
            hint = did_you_mean(pattern, names) or ";"
            raise ConfigError(f"{where}: no layer is called '{pattern}'{hint} valid: {', '.join(names)}")
    kept = {
        name: inner for name, inner in names.items() if not any(fnmatchcase(name, pattern) for pattern in skipped)
    }
    if not kept:
        raise UnsupportedError(f"{where.split('.')[0]}: the network has no layer that would get 8-bit weights")
    return kept


def _joined_layers(model: nn.Layer, specs: Sequence[TensorSpec]) -> list[str]:
    """Return the layers whose feature maps go into a sum, a concatenation or a pooling."""
    outputs: list[tuple[str, Tensor]] = []
    readers: dict[int, list[nn.Layer]] = {}
    held: list[Tensor] = []

    def note(name: str, layer: nn.Layer, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        # Kept alive, because the id of a freed tensor may be reused.
        held.extend((*inputs, output))
        for tensor in inputs:
            readers.setdefault(id(tensor), []).append(layer)
        if output.ndim == 4 and not isinstance(layer, _POOLS):
            outputs.append((name, output))

    leaves = {
        name: layer
        for name, layer in model.named_sublayers()
        if next(iter(layer.children()), None) is None and not isinstance(layer, _TRANSPARENT)
    }
    with hooked(leaves, note):
        run_on_zeros(model, specs)
    # A layer runs once for each view of test-time augmentation.
    return list(dict.fromkeys(name for name, output in outputs if _is_joined(readers.get(id(output), []))))


def _is_joined(readers: list[nn.Layer]) -> bool:
    # A map that no layer reads is the input of an operator between layers: a sum or a concatenation.
    return not readers or any(isinstance(layer, _POOLS) for layer in readers)
