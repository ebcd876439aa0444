"""Export to ONNX, run by ONNX Runtime: ``inference.onnx``."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from paddle_automl.core.errors import BundleError, UnsupportedError
from paddle_automl.core.paths import readable
from paddle_automl.core.schema import PluginConfig
from paddle_automl.deployment.exporters._onnx_conversion import convert
from paddle_automl.deployment.exporters.base import EXPORTERS, Exporter, Runtime, Session, fed, put
from paddle_automl.deployment.exporters.paddle_inference import PROGRAM as PADDLE_PROGRAM
from paddle_automl.deployment.exporters.paddle_inference import WEIGHTS as PADDLE_WEIGHTS
from paddle_automl.deployment.exporters.paddle_inference import PaddleInferenceExporter
from paddle_automl.deployment.runtime import check_threads, gpu_index, keep_in_children
from paddle_automl.inputs.base import Arrays, TensorSpec
from paddle_automl.tasks.base import Final

PROGRAM = "inference.onnx"
TO_RUN = ("onnxruntime",)
TO_EXPORT = ("paddle2onnx", "onnx", "ml_dtypes", *TO_RUN)


class OnnxConfig(PluginConfig):
    """Options of ONNX formats."""

    opset: int = Field(14, ge=13, le=19)
    """Version of the ONNX operator set; more programs read older ones."""


@EXPORTERS.register("onnx")
class OnnxExporter(Exporter):
    """ONNX, float32, by paddle2onnx; ONNX Runtime runs it on the CPU. Needs the extra `onnx`."""

    class Config(OnnxConfig):
        """Version of the operators; batch size open, the task's last step included."""

    config: OnnxConfig
    runtime: ClassVar[Runtime] = "onnx"
    int8: ClassVar[str] = "onnx_int8"
    extra: ClassVar[str] = "onnx"
    to_run: ClassVar[tuple[str, ...]] = TO_RUN
    to_export: ClassVar[tuple[str, ...]] = TO_EXPORT

    def export(
        self,
        model: Any,
        folder: Path,
        *,
        specs: Sequence[TensorSpec],
        final: Final,
        calibration: Arrays | None = None,
    ) -> None:
        """Write ``inference.onnx``; see the base class."""
        self.require()
        with tempfile.TemporaryDirectory(prefix="paddle_automl-onnx-") as scratch:
            put(float_onnx(model, Path(scratch), specs, final, self.config.opset, self.name), folder)

    def session(self, folder: Path, *, device: str = "cpu", threads: int = 1) -> Session:
        """Load the file into ONNX Runtime; see the base class."""
        return OnnxSession(folder, device=device, threads=threads)


class OnnxSession:
    """An ONNX Runtime session on the CPU; calls from several threads run in parallel.

    ONNX Runtime starts threads at its import, and waits for them when a process ends. A process that is forked
    after that import must end with ``os._exit``, as those of `multiprocessing` do.
    """

    def __init__(self, folder: Path, *, device: str = "cpu", threads: int = 1) -> None:
        check_threads(threads)
        if gpu_index(device) is not None:
            raise UnsupportedError(
                f"device: ONNX files are run on the CPU, got '{device}'; use cpu, or Paddle's file"
            )
        OnnxExporter.require(to_run=True)
        path = folder / PROGRAM
        if not path.is_file():
            raise BundleError(f"{readable(folder)}: the file {PROGRAM} is missing; export again")
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        try:
            # Load bytes instead of a path: the locale may be unable to encode the path for the runtime's C++ code.
            self._session = onnxruntime.InferenceSession(
                path.read_bytes(), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise BundleError(
                f"{readable(folder)}: ONNX Runtime cannot load {PROGRAM}: {reason}; export again"
            ) from error
        keep_in_children(self)
        self._names = [item.name for item in self._session.get_inputs()]
        self.runtime_name = f"ONNX Runtime {onnxruntime.__version__}"

    def __call__(self, arrays: Arrays) -> np.ndarray:
        """Return outputs, float32 [N, K], of the network's arrays, [N, ...] by name."""
        return self.all_outputs(arrays)[0]

    def all_outputs(self, arrays: Arrays) -> list[np.ndarray]:
        """Return all outputs of the file in its order; see `Session`."""
        feed = dict(zip(self._names, fed(arrays, self._names), strict=True))
        found: list[np.ndarray] = self._session.run(None, feed)
        return found


def _refuse_recurrent(model: Any, exporter: str) -> None:
    """Raise UnsupportedError for recurrent layers: paddle2onnx drops the lengths of items without a message."""
    from paddle import nn

    if any(isinstance(layer, nn.SimpleRNN | nn.GRU | nn.LSTM) for layer in model.sublayers()):
        raise UnsupportedError(
            f"exporter {exporter}: the network has recurrent layers, which paddle2onnx converts wrongly where "
            "items have different lengths; use another backbone, or Paddle's own format"
        )


def float_onnx(
    model: Any, scratch: Path, specs: Sequence[TensorSpec], final: Final, opset: int, exporter: str
) -> Path:
    """Write the network as float32 ONNX into the folder `scratch` for an exporter; returns the file."""
    EXPORTERS[exporter].require()
    _refuse_recurrent(model, exporter)
    PaddleInferenceExporter(PaddleInferenceExporter.Config()).export(model, scratch, specs=specs, final=final)
    target = scratch / PROGRAM
    convert(scratch / PADDLE_PROGRAM, scratch / PADDLE_WEIGHTS, target, opset)
    return target
