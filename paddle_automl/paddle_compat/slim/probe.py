"""Which parts of PaddleSlim work with the installed Paddle, found by trying them on a tiny network."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable
from pathlib import Path

import paddle
from paddle import nn

from paddle_automl.paddle_compat.slim.filters import FilterPruning
from paddle_automl.paddle_compat.slim.old_ir import old_ir
from paddle_automl.paddle_compat.slim.packing import pack_int8
from paddle_automl.paddle_compat.slim.quantization import AwareTraining, PostTraining
from paddle_automl.paddle_compat.slim.sparsity import WeightPruning

SHAPE = (1, 4, 4)


class _Tiny(nn.Layer):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2D(1, 4, 3, padding=1)
        self.second = nn.Conv2D(4, 4, 3, padding=1)
        self.fc = nn.Linear(4, 2)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        x = self.second(nn.functional.relu(self.first(x)))
        return self.fc(nn.functional.adaptive_avg_pool2d(x, 1).flatten(1))


@functools.lru_cache(maxsize=1)
def capabilities() -> dict[str, str]:
    """Return for each capability an empty text if it works, else the reason why it does not.

    The names: filter_pruning, weight_pruning, post_training_quantization, quantization_aware_training,
    int8_export.
    """
    return {name: _reason(trial) for name, trial in _TRIALS.items()}


def _reason(trial: Callable[[], None]) -> str:
    try:
        trial()
    except Exception as error:  # noqa: BLE001  any exception of another version is the result
        return f"{type(error).__name__}: {error}"
    return ""


def _prune_filters() -> None:
    net = _Tiny()
    pruning = FilterPruning(net, "l1", SHAPE)
    pruning.prune({"first": 0.5})
    if list(net.second.weight.shape) != [4, 2, 3, 3]:
        raise ValueError(f"pruning half of 4 filters left the shape {net.second.weight.shape} after them")


def _prune_weights() -> None:
    net = _Tiny()
    pruning = WeightPruning(net, 0.5, local=False, steps=None, increases=1)
    pruning.finish()


def _quantized() -> nn.Layer:
    quantization = PostTraining(_Tiny(), ["first", "second", "fc"], "abs_max")
    quantization.model(paddle.ones([2, *SHAPE]))
    return quantization.convert()


def _quantize() -> None:
    _quantized()


def _train_quantized() -> None:
    quantization = AwareTraining(_Tiny(), ["first", "second", "fc"])
    quantization.model(paddle.ones([2, *SHAPE])).sum().backward()
    quantization.convert()


def _export() -> None:
    with tempfile.TemporaryDirectory(prefix="paddle_automl-probe-") as scratch:
        plain, packed = str(Path(scratch) / "plain"), str(Path(scratch) / "packed")
        with old_ir():
            spec = paddle.static.InputSpec([None, *SHAPE], "float32")
            paddle.jit.save(_quantized(), plain, input_spec=[spec])
        count = pack_int8(plain, packed)
        if count != 3:
            raise ValueError(f"packed {count} of 3 weights to 8 bits")


_TRIALS: dict[str, Callable[[], None]] = {
    "filter_pruning": _prune_filters,
    "weight_pruning": _prune_weights,
    "post_training_quantization": _quantize,
    "quantization_aware_training": _train_quantized,
    "int8_export": _export,
}
