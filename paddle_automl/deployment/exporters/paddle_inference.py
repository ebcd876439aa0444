"""Export to Paddle Inference: ``inference.json`` (the program) and ``inference.pdiparams`` (the weights)."""

from __future__ import annotations

import shutil
import tempfile
import threading
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from paddle_automl.core.errors import BundleError, OutputError, UnsupportedError
from paddle_automl.core.paths import readable
from paddle_automl.core.schema import PluginConfig
from paddle_automl.deployment.exporters.base import EXPORTERS, Exporter, Session
from paddle_automl.deployment.network import evaluating, softmax_layer
from paddle_automl.deployment.runtime import (
    ascii_alias,
    gpu_index,
    import_paddle,
    in_lasting_thread,
    quiet_warnings,
)

STEM = "inference"
PROGRAM = f"{STEM}.json"
WEIGHTS = f"{STEM}.pdiparams"
GPU_MEMORY_MB = 256


@EXPORTERS.register("paddle_inference")
class PaddleInferenceExporter(Exporter):
    """Paddle Inference in the program format of Paddle 3 (PIR), float32."""

    class Config(PluginConfig):
        """No options: batch size open, softmax included."""

    def export(
        self, model: Any, folder: Path, *, input_shape: tuple[int, int, int], images: np.ndarray | None = None
    ) -> None:
        """Write ``inference.json`` and ``inference.pdiparams``; see the base class."""
        paddle = import_paddle()
        _require_float32(model)
        spec = paddle.static.InputSpec([None, *input_shape], "float32", name="image")
        # Paddle's C++ writer takes names as UTF-8 whatever the locale says; only an ASCII path is safe.
        with tempfile.TemporaryDirectory(prefix="paddle_automl-export-") as scratch:
            with evaluating(model), quiet_warnings():
                paddle.jit.save(softmax_layer(model), str(Path(scratch) / STEM), input_spec=[spec])
            for name in (PROGRAM, WEIGHTS):
                written = Path(scratch) / name
                if not written.is_file():
                    raise UnsupportedError(
                        f"exporter paddle_inference: Paddle {paddle.__version__} wrote no {name}; unset "
                        "FLAGS_enable_pir_api, and see that the network has at least one parameter"
                    )
                try:
                    shutil.copyfile(written, folder / name)
                except OSError as error:
                    raise OutputError(f"cannot write '{readable(folder / name)}': {error.strerror}") from None

    def session(self, folder: Path, *, device: str = "cpu", threads: int = 1) -> Session:
        """Load the two files into a Paddle Inference predictor; see the base class."""
        return PaddleSession(folder, device=device, threads=threads)


class PaddleSession:
    """A Paddle Inference predictor behind a lock: its input and output buffers are shared by all calls.

    A call changes the number of math threads of the calling thread: see `in_lasting_thread`.
    """

    program: ClassVar[str] = PROGRAM

    def __init__(self, folder: Path, *, device: str = "cpu", threads: int = 1) -> None:
        for name in (self.program, WEIGHTS):
            if not (folder / name).is_file():
                raise BundleError(f"{readable(folder)}: the file {name} is missing; export again")
        self._lock = threading.Lock()
        gpu = gpu_index(device)
        with ascii_alias(folder) as safe:
            try:
                self._predictor = in_lasting_thread(partial(self.load, safe, gpu, threads))
            except Exception as error:
                lines = [line for line in str(error).splitlines() if line.strip()]
                reason = lines[0] if lines else type(error).__name__
                raise BundleError(
                    f"{readable(folder)}: Paddle Inference cannot load {self.program}: {reason}; export again"
                ) from error
        self._input = self._predictor.get_input_handle(self._predictor.get_input_names()[0])
        self._output_name = self._predictor.get_output_names()[0]

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Return probabilities, float32 [N, K], of normalized images, float32 [N, C, H, W]."""
        with self._lock:
            self._input.copy_from_cpu(np.ascontiguousarray(images, dtype=np.float32))
            self._predictor.run()
            probabilities: np.ndarray = self._predictor.get_output_handle(self._output_name).copy_to_cpu()
        return probabilities

    @staticmethod
    def load(folder: Path, gpu: int | None, threads: int) -> Any:
        """Return Paddle's predictor of the files in a folder, on a GPU where its number is given."""
        return _load(folder, gpu, threads)


def _load(folder: Path, gpu: int | None, threads: int) -> Any:
    import_paddle()
    from paddle import inference

    config = inference.Config(str(folder / PROGRAM), str(folder / WEIGHTS))
    config.disable_glog_info()
    if gpu is not None:
        config.enable_use_gpu(GPU_MEMORY_MB, gpu)
    config.set_cpu_math_library_num_threads(threads)
    # In this order: without the two switches before it, memory optimization raises on PIR programs.
    config.enable_new_ir(True)
    config.enable_new_executor(True)
    config.enable_memory_optim()
    return inference.create_predictor(config)


def _require_float32(model: Any) -> None:
    for name, parameter in model.named_parameters():
        if parameter.dtype.name not in {"FLOAT32", "float32"}:
            raise UnsupportedError(
                f"exporter paddle_inference: parameter '{name}' is {parameter.dtype.name.lower()}; "
                "it exports float32: load the weights into a float32 network (layer.float()) first"
            )
