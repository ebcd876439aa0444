"""Export to OpenVINO with 8-bit weights and activations."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

from paddle_automl.deployment.exporters.base import EXPORTERS, Runtime, Session
from paddle_automl.deployment.exporters.onnx import PROGRAM, OnnxConfig
from paddle_automl.deployment.exporters.onnx_int8 import OnnxInt8Exporter
from paddle_automl.deployment.exporters.openvino import OpenVinoExporter, OpenVinoSession, convert
from paddle_automl.deployment.repair import Repaired
from paddle_automl.inputs.base import Arrays, TensorSpec
from paddle_automl.tasks.base import Final


@EXPORTERS.register("openvino_int8")
class OpenVinoInt8Exporter(OnnxInt8Exporter):
    """OpenVINO on the CPU, in 8 bits as `onnx_int8` quantizes them. Needs the extra `openvino`.

    What is not in 8 bits is computed in float32.
    """

    class Config(OnnxConfig):
        """Version of the ONNX operators in between; batch size open, the task's last step included."""

    runtime: ClassVar[Runtime] = "openvino"
    int8: ClassVar[str] = "openvino_int8"
    extra: ClassVar[str] = "openvino"
    to_run: ClassVar[tuple[str, ...]] = OpenVinoExporter.to_run
    to_export: ClassVar[tuple[str, ...]] = OpenVinoExporter.to_export

    def export_accepted(
        self,
        model: Any,
        folder: Path,
        *,
        specs: Sequence[TensorSpec],
        final: Final,
        calibration: Arrays | None = None,
        accept: Callable[[Session], bool],
    ) -> Repaired:
        """Write ``inference.xml`` and ``inference.bin``; see the base class."""
        with tempfile.TemporaryDirectory(prefix="paddle_automl-openvino-") as scratch:
            target = Path(scratch)
            found = super().export_accepted(
                model, target, specs=specs, final=final, calibration=calibration, accept=accept
            )
            convert(target / PROGRAM, folder, half=False)
        return found

    def loaded(self, file: Path) -> Session:
        """Return a session of a quantized ONNX file, converted as `export` does."""
        convert(file, file.parent, half=False)
        return self.session(file.parent)

    def session(self, folder: Path, *, device: str = "cpu", threads: int = 1) -> Session:
        """Load the two files into OpenVINO; see the base class."""
        return OpenVinoSession(folder, device=device, threads=threads)
