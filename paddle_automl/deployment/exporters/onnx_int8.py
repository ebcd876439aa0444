"""Export to ONNX with 8-bit weights and activations: ``inference.onnx``."""

from __future__ import annotations

import contextlib
import logging
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from paddle_automl.core.errors import UnsupportedError
from paddle_automl.deployment.exporters.base import EXPORTERS, fed, put
from paddle_automl.deployment.exporters.onnx import PROGRAM, OnnxConfig, OnnxExporter, float_onnx
from paddle_automl.inputs.base import Arrays, TensorSpec
from paddle_automl.tasks.base import Final

BATCH = 32
_LAST = frozenset({"Softmax", "Sigmoid", "Add", "Mul", "Identity"})
"""Operators that may follow the last layer of a network."""


@EXPORTERS.register("onnx_int8")
class OnnxInt8Exporter(OnnxExporter):
    """ONNX, quantized to 8 bits by ONNX Runtime from the float network. Needs the extra `onnx`.

    Weights get a scale per output channel; the ranges of activations are those of training items. If the outputs
    are numbers, the last layer stays in float32: in 8 bits they would be rounded to 256 values. So do layers with
    the attribute `float_only`, such as the whitening of speednet.
    """

    class Config(OnnxConfig):
        """Version of the operators; batch size open, the task's last step included."""

    exact: ClassVar[bool] = False

    def export(
        self,
        model: Any,
        folder: Path,
        *,
        specs: Sequence[TensorSpec],
        final: Final,
        calibration: Arrays | None = None,
    ) -> None:
        """Write ``inference.onnx``; see the base class. Raises UnsupportedError without `calibration`."""
        if not calibration or not len(next(iter(calibration.values()))):
            raise UnsupportedError("exporter onnx_int8: needs training items to calibrate the activations")
        with tempfile.TemporaryDirectory(prefix="paddle_automl-onnx-") as name:
            scratch = Path(name)
            plain = float_onnx(model, scratch, specs, final, self.config.opset)
            folded, target = scratch / "folded.onnx", scratch / "int8" / PROGRAM
            target.parent.mkdir()
            _fold(plain, folded)
            exact = [*_last_nodes(folded, final), *_float_only(folded, model)]
            _quantize(folded, target, calibration, exact)
            put(target, folder)


def _fold(source: Path, target: Path) -> None:
    """Let ONNX Runtime fold normalizations and constants, because only constant weights are quantized."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(target)
    options.log_severity_level = 3
    onnxruntime.InferenceSession(str(source), options, providers=["CPUExecutionProvider"])


def _quantize(source: Path, target: Path, calibration: Arrays, excluded: Sequence[str]) -> None:
    import onnxruntime
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    session = onnxruntime.InferenceSession(str(source), providers=["CPUExecutionProvider"])
    names = [item.name for item in session.get_inputs()]
    arrays = dict(zip(names, fed(calibration, names), strict=True))
    starts = range(0, len(arrays[names[0]]), BATCH)
    feeds = iter([{name: item[start : start + BATCH] for name, item in arrays.items()} for start in starts])

    class Reader(CalibrationDataReader):  # type: ignore[misc, unused-ignore]
        def get_next(self) -> dict[str, np.ndarray] | None:
            return next(feeds, None)

    with _quiet():
        quantize_static(
            str(source),
            str(target),
            Reader(),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            weight_type=QuantType.QInt8,
            activation_type=QuantType.QUInt8,
            nodes_to_exclude=list(excluded),
        )


def _last_nodes(source: Path, final: Final) -> list[str]:
    """Return the nodes that stay in float32: those after the last layer, and a sum that makes the raw outputs.

    In 8 bits they would only be rounded. If the outputs are numbers, the last layer is one of them.
    """
    import onnx

    graph = onnx.load(str(source)).graph
    makers = {name: node for node in graph.node for name in node.output}
    names: list[str] = []
    node = makers.get(graph.output[0].name)
    while node is not None and node.op_type in _LAST:
        names.append(node.name)
        node = next((makers[name] for name in node.input if name in makers), None)
    if final.activation == "identity" and node is not None:
        names.append(node.name)
    return names


def _float_only(source: Path, model: Any) -> list[str]:
    """Return the convolutions of layers that say `float_only`, found by their kernels."""
    import onnx
    from onnx import numpy_helper

    kernels = [layer.weight.numpy() for layer in model.sublayers() if getattr(layer, "float_only", False)]
    if not kernels:
        return []
    graph = onnx.load(str(source)).graph
    values = {item.name: numpy_helper.to_array(item) for item in graph.initializer}
    return [
        node.name
        for node in graph.node
        if node.op_type == "Conv" and _is_one_of(values.get(node.input[1]), kernels)
    ]


def _is_one_of(array: np.ndarray | None, kernels: Sequence[np.ndarray]) -> bool:
    return array is not None and any(np.array_equal(array, kernel) for kernel in kernels)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Suppress the advice that the quantization logs to the root logger."""
    root = logging.getLogger()
    disabled, root.disabled = root.disabled, True
    try:
        yield
    finally:
        root.disabled = disabled
