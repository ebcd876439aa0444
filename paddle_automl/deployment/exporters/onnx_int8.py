"""Export to ONNX with 8-bit weights and activations: ``inference.onnx``."""

from __future__ import annotations

import contextlib
import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from paddle_automl.core.errors import UnsupportedError
from paddle_automl.deployment.exporters.base import EXPORTERS
from paddle_automl.deployment.exporters.onnx import OnnxConfig, OnnxExporter, copied, float_onnx

BATCH = 32


@EXPORTERS.register("onnx_int8")
class OnnxInt8Exporter(OnnxExporter):
    """ONNX, quantized to 8 bits by ONNX Runtime from the float network. Needs the extra `onnx`.

    Weights get a scale per output channel; the ranges of activations are those of training images.
    """

    class Config(OnnxConfig):
        """Version of the operators; batch size open, softmax included."""

    exact: ClassVar[bool] = False

    def export(
        self, model: Any, folder: Path, *, input_shape: tuple[int, int, int], images: np.ndarray | None = None
    ) -> None:
        """Write ``inference.onnx``; see the base class. Raises UnsupportedError without `images`."""
        if images is None or not len(images):
            raise UnsupportedError(
                "exporter onnx_int8: needs training images to find the ranges of the activations"
            )
        with tempfile.TemporaryDirectory(prefix="paddle_automl-onnx-") as name:
            scratch = Path(name)
            plain = float_onnx(model, scratch, input_shape, self.config.opset)
            folded, target = scratch / "folded.onnx", scratch / "int8.onnx"
            _fold(plain, folded)
            _quantize(folded, target, images)
            copied(target, folder)


def _fold(source: Path, target: Path) -> None:
    """Let ONNX Runtime fold normalizations and constants: only weights that stand in the file are quantized."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(target)
    options.log_severity_level = 3
    onnxruntime.InferenceSession(str(source), options, providers=["CPUExecutionProvider"])


def _quantize(source: Path, target: Path, images: np.ndarray) -> None:
    import onnxruntime
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    session = onnxruntime.InferenceSession(str(source), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    chunks = (images[start : start + BATCH] for start in range(0, len(images), BATCH))
    feeds = iter([{name: np.ascontiguousarray(chunk, dtype=np.float32)} for chunk in chunks])

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
            nodes_to_exclude=_last_nodes(source),
        )


def _last_nodes(source: Path) -> list[str]:
    """Return the softmax and, where logits are a sum, that sum: in 8 bits they would only be rounded."""
    import onnx

    nodes = list(onnx.load(str(source)).graph.node)
    softmax = [node for node in nodes if node.op_type == "Softmax"]
    read = {name for node in softmax for name in node.input}
    sums = [node for node in nodes if node.op_type == "Add" and read & set(node.output)]
    return [node.name for node in (*softmax, *sums)]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Hold back the advice that the quantization logs to the root logger."""
    root = logging.getLogger()
    disabled, root.disabled = root.disabled, True
    try:
        yield
    finally:
        root.disabled = disabled
