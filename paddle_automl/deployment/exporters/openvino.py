"""Export to OpenVINO, run by OpenVINO: ``inference.xml`` (the network) and ``inference.bin`` (the weights)."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from paddle_automl.core.errors import BundleError, UnsupportedError
from paddle_automl.core.paths import readable
from paddle_automl.deployment.exporters.base import EXPORTERS, Runtime, Session, fed, put
from paddle_automl.deployment.exporters.onnx import TO_EXPORT as ONNX_TO_EXPORT
from paddle_automl.deployment.exporters.onnx import OnnxConfig, OnnxExporter, float_onnx
from paddle_automl.deployment.runtime import check_threads, gpu_index, keep_in_children
from paddle_automl.inputs.base import Arrays, TensorSpec
from paddle_automl.tasks.base import Final

PROGRAM, WEIGHTS = "inference.xml", "inference.bin"
TO_RUN = ("openvino",)
BFLOAT16 = "BF16"
"""OpenVINO's name of the capability of a processor that computes in bfloat16."""


@EXPORTERS.register("openvino")
class OpenVinoExporter(OnnxExporter):
    """OpenVINO on the CPU, float32, made from ONNX. Needs the extra `openvino`."""

    class Config(OnnxConfig):
        """Version of the ONNX operators in between; batch size open, the task's last step included."""

    runtime: ClassVar[Runtime] = "openvino"
    int8: ClassVar[str] = "openvino_int8"
    extra: ClassVar[str] = "openvino"
    to_run: ClassVar[tuple[str, ...]] = TO_RUN
    to_export: ClassVar[tuple[str, ...]] = (*TO_RUN, *ONNX_TO_EXPORT)
    precision: ClassVar[str] = "f32"
    """In which the CPU computes, in OpenVINO's spelling; of 8-bit networks only what is not in 8 bits."""

    def export(
        self,
        model: Any,
        folder: Path,
        *,
        specs: Sequence[TensorSpec],
        final: Final,
        calibration: Arrays | None = None,
    ) -> None:
        """Write ``inference.xml`` and ``inference.bin``; see the base class."""
        self.require()
        with tempfile.TemporaryDirectory(prefix="paddle_automl-openvino-") as scratch:
            source = float_onnx(model, Path(scratch), specs, final, self.config.opset, self.name)
            convert(source, folder, half=self.precision != "f32")

    def session(self, folder: Path, *, device: str = "cpu", threads: int = 1) -> Session:
        """Load the two files into OpenVINO; see the base class."""
        return OpenVinoSession(folder, device=device, threads=threads, precision=self.precision)


class OpenVinoSession:
    """A network compiled by OpenVINO for the CPU; calls from several threads run in parallel."""

    def __init__(self, folder: Path, *, device: str = "cpu", threads: int = 1, precision: str = "f32") -> None:
        check_threads(threads)
        if gpu_index(device) is not None:
            raise UnsupportedError(
                f"device: OpenVINO files are run on the CPU, got '{device}'; use cpu, or Paddle's file"
            )
        for name in (PROGRAM, WEIGHTS):
            if not (folder / name).is_file():
                raise BundleError(f"{readable(folder)}: the file {name} is missing; export again")
        OpenVinoExporter.require(to_run=True)
        import openvino

        core = openvino.Core()
        if precision == "bf16" and BFLOAT16 not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            precision = "f32"
        options = {
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": 1,
            "INFERENCE_NUM_THREADS": threads,
            "INFERENCE_PRECISION_HINT": precision,
        }
        try:
            # Load bytes instead of a path: the locale may be unable to encode the path for OpenVINO's C++ code.
            network = core.read_model((folder / PROGRAM).read_bytes(), (folder / WEIGHTS).read_bytes())
            self._compiled = core.compile_model(network, "CPU", options)
        except Exception as error:
            raise BundleError(
                f"{readable(folder)}: OpenVINO cannot load {PROGRAM}: {_reason(error)}; export again"
            ) from error
        keep_in_children(self)
        self._names = [item.get_any_name() for item in self._compiled.inputs]
        self._free: list[Any] = []
        self._lock = threading.Lock()
        words = {"f32": "", "bf16": ", bfloat16"}[precision]
        self.runtime_name = f"OpenVINO {openvino.__version__.split('-')[0]}{words}"

    def __call__(self, arrays: Arrays) -> np.ndarray:
        """Return outputs, float32 [N, K], of the network's arrays, [N, ...] by name."""
        return self.all_outputs(arrays)[0]

    def all_outputs(self, arrays: Arrays) -> list[np.ndarray]:
        """Return all outputs of the file in its order; see `Session`."""
        given = fed(arrays, self._names)
        with self._lock:
            request = self._free.pop() if self._free else self._compiled.create_infer_request()
        try:
            request.infer(given, share_inputs=True)
            return [np.array(request.get_output_tensor(place).data) for place in range(len(self._compiled.outputs))]
        finally:
            with self._lock:
                self._free.append(request)


def convert(source: Path, folder: Path, *, half: bool) -> None:
    """Write an ONNX file as OpenVINO's two files into `folder`; `half`: weights in half precision.

    Raises UnsupportedError for a network that OpenVINO cannot represent.
    """
    import openvino

    with tempfile.TemporaryDirectory(prefix="paddle_automl-openvino-") as scratch:
        target = Path(scratch) / PROGRAM
        try:
            # Not `convert_model`, which reports its use over the network.
            network = openvino.Core().read_model(source.read_bytes())
            openvino.save_model(network, target, compress_to_fp16=half)
        except Exception as error:
            raise UnsupportedError(
                f"exporter openvino: OpenVINO cannot convert the network: {_reason(error)}; use another format"
            ) from error
        for name in (PROGRAM, WEIGHTS):
            put(target.with_name(name), folder)


def _reason(error: Exception) -> str:
    """Return the last line of OpenVINO's message; those before it name places in its own code."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
