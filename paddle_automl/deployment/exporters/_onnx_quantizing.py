"""Quantization of an ONNX file to 8 bits by ONNX Runtime, of all operators or of some."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from paddle_automl.deployment.exporters.base import fed
from paddle_automl.inputs.base import Arrays
from paddle_automl.tasks.base import Final

BATCH = 32
_LAST = frozenset({"Softmax", "Sigmoid", "Add", "Mul", "Identity"})
"""Operators that may follow the last layer of a network."""
_WEIGHTED = frozenset({"Conv", "ConvTranspose", "MatMul", "Gemm"})


class Quantizer:
    """Writes a float32 ONNX file with some of its operators in 8 bits, from ranges that are measured once.

    `excluded` are names of nodes that stay in float32. Weights get a scale per output channel.
    """

    def __init__(self, source: Path, calibration: Arrays, excluded: Sequence[str]) -> None:
        import onnx
        from onnxruntime.quantization.registry import QDQRegistry, QLinearOpsRegistry

        self._source, self._excluded = source, list(excluded)
        self._types = sorted({*QDQRegistry, *QLinearOpsRegistry})
        graph = onnx.load(str(source)).graph
        self.groups = _grouped([node for node in graph.node if node.op_type in self._types], excluded)
        """Operators that can be in 8 bits: one with weights and those that follow it, by the name of the first."""
        with _quiet():
            self._ranges = _measured(source, calibration, self._types)

    def write(self, target: Path, float_nodes: Sequence[str] = (), only: Sequence[str] | None = None) -> None:
        """Write the file with all operators in 8 bits but `float_nodes`, or with those in `only` alone."""
        from onnxruntime.quantization import QuantType
        from onnxruntime.quantization.qdq_quantizer import QDQQuantizer
        from onnxruntime.quantization.quant_utils import load_model_with_shape_infer

        with _quiet():
            quantizer = QDQQuantizer(
                load_model_with_shape_infer(self._source),
                True,
                False,
                QuantType.QInt8,
                QuantType.QUInt8,
                self._ranges,
                list(only or ()),
                [*self._excluded, *float_nodes],
                self._types,
                {},
            )
            quantizer.quantize_model()
            quantizer.model.save_model_to_file(str(target), False)


def _grouped(nodes: Sequence[Any], excluded: Sequence[str]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    current: list[str] = []
    for node in nodes:
        if node.name in excluded:
            continue
        if node.op_type in _WEIGHTED or not groups:
            current = groups.setdefault(node.name, [])
        current.append(node.name)
    return groups


def _measured(source: Path, calibration: Arrays, types: Sequence[str]) -> Any:
    """Return the ranges of all tensors on the calibration items, as ONNX Runtime keeps them."""
    import onnxruntime
    from onnxruntime.quantization import CalibrationDataReader, create_calibrator

    session = onnxruntime.InferenceSession(str(source), providers=["CPUExecutionProvider"])
    names = [item.name for item in session.get_inputs()]
    arrays = dict(zip(names, fed(calibration, names), strict=True))
    starts = range(0, len(arrays[names[0]]), BATCH)
    feeds = iter([{name: item[start : start + BATCH] for name, item in arrays.items()} for start in starts])

    class Reader(CalibrationDataReader):  # type: ignore[misc, unused-ignore]
        def get_next(self) -> dict[str, np.ndarray] | None:
            return next(feeds, None)

    calibrator = create_calibrator(source, list(types), augmented_model_path=f"{source}.augmented.onnx")
    calibrator.collect_data(Reader())
    return calibrator.compute_data()


def fold(source: Path, target: Path) -> None:
    """Let ONNX Runtime fold normalizations and constants, because only constant weights are quantized."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(target)
    options.log_severity_level = 3
    onnxruntime.InferenceSession(str(source), options, providers=["CPUExecutionProvider"])


def last_nodes(source: Path, final: Final) -> list[str]:
    """Return the nodes that stay in float32: those after the last layer, and a sum that makes the raw outputs.

    In 8 bits they would only be rounded. If the outputs are numbers, the last layer is one of them. So is all that
    only a second output, such as a rejection score, is computed from.
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
    first = _before(graph.output[0].name, makers)
    for output in graph.output[1:]:
        names += [name for name in _before(output.name, makers) if name not in first]
    return list(dict.fromkeys(names))


def _before(output: str, makers: dict[str, Any]) -> dict[str, None]:
    """Return the names of all nodes that an output of the graph is computed from."""
    found: dict[str, None] = {}
    waiting = [output]
    while waiting:
        node = makers.get(waiting.pop())
        if node is not None and node.name not in found:
            found[node.name] = None
            waiting += list(node.input)
    return found


def float_only(source: Path, model: Any) -> list[str]:
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


def layer_names(plain: Path, model: Any) -> dict[str, str]:
    """Return the names of the network's layers by the names of their nodes in `plain`, the file before folding."""
    import onnx

    owners: dict[str, str] = {}
    for name, layer in model.named_sublayers():
        for parameter in layer.parameters(include_sublayers=False):
            owners[parameter.name] = name.removeprefix("network.")
    return {
        node.name: owners[name]
        for node in onnx.load(str(plain)).graph.node
        if node.op_type in _WEIGHTED
        for name in node.input
        if name in owners
    }


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Suppress the advice that the quantization logs to the root logger."""
    root = logging.getLogger()
    disabled, root.disabled = root.disabled, True
    try:
        yield
    finally:
        root.disabled = disabled
