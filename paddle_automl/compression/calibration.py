"""Calibration of a network for 8 bits, once for any choice of the layers that stay float."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import paddle
from paddle import Tensor, nn
from paddle.nn import functional as F

from paddle_automl.compression.context import tensors
from paddle_automl.compression.copying import copy_of
from paddle_automl.compression.int8_kernels import seen, with_fast_layers
from paddle_automl.compression.int8_layers import observed_outputs, ready_for_int8, without
from paddle_automl.compression.maps import hooked
from paddle_automl.data.running import fitting_batch
from paddle_automl.inputs.base import Arrays, TensorSpec
from paddle_automl.models import kernels
from paddle_automl.models.network import Network
from paddle_automl.paddle_compat.layers import replace_layer
from paddle_automl.paddle_compat.modes import evaluating
from paddle_automl.paddle_compat.slim.quantization import Observer, PostTraining

BATCH = 64


@dataclass(frozen=True)
class Calibrated:
    """A network with measured ranges, from which any of its layers can be in 8 bits."""

    model: Network
    """The float network; it is not changed."""
    names: dict[str, str]
    """The layers that are in 8 bits, by their name in `model`: their name in `ready` and `whole`."""
    skipped: tuple[str, ...]
    """Layers that could be in 8 bits and are not to."""
    ready: Network
    """The float network in the form in which it is quantized."""
    whole: Network
    """The same with all of `names` in 8 bits."""

    def leaving(self, layers: Sequence[str]) -> Network:
        """Return a copy of `whole` in which `layers` (names in `model`) are in float."""
        twin, floats = copy_of(self.whole), dict(self.ready.named_sublayers())
        for name in layers:
            replace_layer(twin, self.names[name], copy.deepcopy(floats[self.names[name]]))
        return twin

    def damage(self, arrays: Arrays, *, classes: bool) -> dict[str, float]:
        """Return for each layer how much the outputs for `arrays` change when it alone is in 8 bits.

        For classes KL(float || 8-bit) of the predictions, mean over items; for other tasks the mean square
        difference of raw outputs.
        """
        alone, converted = copy_of(self.model), dict(self.whole.named_sublayers())
        floats = dict(alone.named_sublayers())
        before, found = _raw_outputs(alone, arrays, classes), {}
        for name, inner in self.names.items():
            replace_layer(alone, name, converted[inner])
            after = _raw_outputs(alone, arrays, classes)
            replace_layer(alone, name, floats[name])
            if classes:
                found[name] = max(0.0, float((np.exp(before) * (before - after)).sum(axis=1).mean()))
            else:
                found[name] = float(np.square(before - after).mean())
        return found


def calibrate(
    model: Network,
    specs: Sequence[TensorSpec],
    arrays: Arrays,
    *,
    observer: Observer,
    skip: tuple[str, ...],
    option: str,
) -> Calibrated:
    """Measure on `arrays` the ranges of all layers of `model` but those that match `skip`, the value of `option`.

    Raises ConfigError for a pattern that matches no layer, UnsupportedError if no layer is left.
    """
    ready, names = ready_for_int8(model, specs)
    chosen = without(names, skip, option)
    outputs = observed_outputs(ready)
    twin = copy_of(ready)
    quantization = PostTraining(twin, [*chosen.values(), *outputs], observer)
    named = dict(model.named_sublayers())
    joined = {name.removesuffix(".output"): name for name in outputs}

    def note(name: str, layer: nn.Layer, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if name in chosen:
            quantization.observe(chosen[name], seen(inputs[0]))
        if name in joined:
            quantization.observe(joined[name], seen(output))

    with hooked({name: named[name] for name in {**chosen, **joined}}, note):
        _run(model, arrays)
    whole = quantization.convert()
    assert isinstance(whole, Network)
    skipped = tuple(name for name in names if name not in chosen)
    return Calibrated(model, chosen, skipped, ready, with_fast_layers(whole))


def _run(model: Network, arrays: Arrays) -> list[Tensor]:
    """Return the raw outputs of `model` for `arrays`, in parts that take little memory: fewer of large items."""
    size = fitting_batch([array.shape[1:] for array in arrays.values()], BATCH)
    with evaluating(model), paddle.no_grad(), kernels.use("float32"):
        return [
            model(*tensors({name: array[start : start + size] for name, array in arrays.items()}))
            for start in range(0, len(next(iter(arrays.values()))), size)
        ]


def _raw_outputs(model: Network, arrays: Arrays, classes: bool) -> np.ndarray:
    """Return raw outputs [N, K], for classes the logarithms of their softmax."""
    found = [(F.log_softmax(raw, axis=-1) if classes else raw).numpy() for raw in _run(model, arrays)]
    return np.concatenate(found).astype(np.float64)
